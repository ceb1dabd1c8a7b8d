"""NewItem: an item that a service gets to know, and the entries of the event log that keep such items."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torchrec_ext.serving.event_store import EventStore
from torchrec_ext.serving.served_event import ADDED_ITEM, Id, ServedEvent, checked_id, checked_values


@dataclass(frozen=True)
class NewItem:
    """An item, new or with other columns than before.

    Args:
        item: the item's id as in the data, a string or an integer of 64 bits.
        columns: values of the table of items by column, as JSON has them; one that is not there is missing.

    Raises:
        InputError: for the first field with a wrong value.

    Example:
        >>> NewItem(900, {"genres": ["Drama"], "title": "The Play"}).item
        900
    """

    item: Id
    columns: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "item", checked_id("item", self.item))
        object.__setattr__(self, "columns", checked_values("columns", self.columns))

    def entry(self, item: Id) -> ServedEvent:
        """What the log keeps of it, under an id."""
        return ServedEvent(ADDED_ITEM, item, time.time(), ADDED_ITEM, self.columns)


def added_items(store: EventStore) -> list[tuple[int, ServedEvent]]:
    """The entries of all items that were added, with their positions, in their order."""
    found = store.of_user(ADDED_ITEM)
    return sorted((pair for pair in found if pair[1].type == ADDED_ITEM), key=lambda pair: pair[0])
