"""What requests to the service look like in JSON."""

import math
import time
from typing import Annotated, Any, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
)

from torchrec_ext.errors import InputError
from torchrec_ext.serving.list_request import ListRequest
from torchrec_ext.serving.new_item import NewItem
from torchrec_ext.serving.served_event import NOT_HISTORY, ServedEvent, checked_id
from torchrec_ext.serving.stages import MOST_ITEMS

MOST_SECONDS = 1e11
"""The latest timestamp, in the year 5138; one of milliseconds is later."""
MOST_LEVELS = 32
"""Of lists and mappings in each other in a context."""


def _id(value: Any) -> Any:
    return checked_id("id", value)


def _plain(value: Any, levels: int = MOST_LEVELS) -> Any:
    """Refuses what Python's parser lets through, although JSON, a column or UTF-8 has none of it."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"should hold finite numbers only, received {value}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("should hold integers of 64 bits at most")
    if isinstance(value, str) and not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"should be valid Unicode, received {value!r:.80}") from None
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    if inner and not levels:
        raise ValueError(f"should have at most {MOST_LEVELS} levels of lists and mappings")
    for part in inner:
        _plain(part, levels - 1)
    return value


def _scalar(value: Any) -> Any:
    if not isinstance(value, (bool, int, float, str)):
        raise ValueError("should be a string, a number or a boolean")
    return _plain(value)


_INTEGER = {"type": "integer", "minimum": -(2**63), "maximum": 2**63 - 1}
_NUMBER = {"type": "number", "minimum": -(2**63), "maximum": 2**63 - 1}
_ID_SCHEMA = {"anyOf": [{"type": "string", "minLength": 1}, _INTEGER]}
Id: TypeAlias = Annotated[str | int, BeforeValidator(_id), WithJsonSchema(_ID_SCHEMA)]
Text: TypeAlias = Annotated[StrictStr, Field(min_length=1)]
Context: TypeAlias = Annotated[dict[StrictStr, Any], AfterValidator(_plain)]
Scalar: TypeAlias = Annotated[
    bool | int | float | str,
    BeforeValidator(_scalar),
    WithJsonSchema({"anyOf": [*({"type": type} for type in ("string", "boolean")), _INTEGER, _NUMBER]}),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Bounds(_Body):
    """The smallest and the largest value that a filter lets through."""

    min: Scalar | None = None
    max: Scalar | None = None


def _is_list(value: Any) -> str:
    return "several" if isinstance(value, list) else "one"


Filter: TypeAlias = Annotated[
    Annotated[Bounds, Tag("one")] | Annotated[list[Scalar], Tag("several")], Discriminator(_is_list)
]


class AtMost(_Body):
    """How many items of a list may have the same value in a column of the items."""

    column: Text
    items: Annotated[StrictInt, Field(ge=1, le=MOST_ITEMS)]


class ListBody(_Body):
    """A request for the best items of a user, or of an anonymous session."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": 1, "k": 10}, {"session": [1, 2], "k": 5, "timings": True}]}
    )

    user: Id | None = Field(None, description="Id of the user; leave it out for a session.")
    session: list[Id] | None = Field(None, description="Items of an anonymous visitor, oldest first.")
    k: Annotated[StrictInt, Field(ge=1, le=MOST_ITEMS)] = Field(10, description="Length of the list.")
    context: Context | None = Field(None, description="The moment, for a model that reads it.")
    exclude: list[Id] = Field([], description="Items that are left out.")
    candidates: list[Id] | None = Field(None, description="The only items that may be in the list.")
    filters: dict[StrictStr, Filter] = Field(
        {}, description="Column of the items: its allowed values, or bounds.",
        examples=[{"year": {"min": 1990}, "genres": ["Drama"]}],
    )  # fmt: skip
    exclude_seen: StrictBool = Field(True, description="Leaves out the items of the user's own events.")
    diversity: Annotated[StrictFloat, Field(ge=0, le=1)] = Field(
        0.0, description="How much the items shall differ from each other."
    )
    at_most: AtMost | None = Field(None, description="How many items may have the same value in a column.")
    timings: StrictBool = Field(False, description="Adds the milliseconds of each stage.")

    def request(self) -> ListRequest:
        """The same for the service."""
        filters: dict[str, Any] = {
            name: wanted.model_dump(exclude_none=True) if isinstance(wanted, Bounds) else wanted
            for name, wanted in self.filters.items()
        }
        return ListRequest(
            user=self.user, session=self.session, k=self.k, context=self.context, exclude=self.exclude,
            candidates=self.candidates, filters=filters, exclude_seen=self.exclude_seen,
            diversity=self.diversity,
            at_most=None if self.at_most is None else (self.at_most.column, self.at_most.items),
        )  # fmt: skip


class ExplainBody(_Body):
    """Whose score of which item is to be explained."""

    user: Id | None = Field(None, description="Id of the user; leave it out for a session.")
    session: list[Id] | None = Field(None, description="Items of an anonymous visitor, oldest first.")
    item: Id
    context: Context | None = Field(None, description="The moment, for a model that reads it.")


class EventBody(_Body):
    """One event of a user: a click, a rating, a search."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"user": 1, "item": 2, "type": "click", "id": "a-1"}]}
    )

    user: Id
    item: Id | None = Field(None, description="None for an event without an item, such as a search.")
    timestamp: Annotated[StrictFloat, Field(gt=-MOST_SECONDS, lt=MOST_SECONDS)] | None = Field(
        None, description="Seconds since 1970 (UTC), not milliseconds; now by default."
    )
    type: Text | None = Field(None, description="The kind of event.")
    context: Context = Field({}, description="Further values of the event.")
    id: Text | None = Field(
        None, description="Your own id of the event: sent again with the same id, it counts once."
    )

    def event(self) -> ServedEvent:
        """The same for the service; InputError for what JSON Schema cannot say."""
        if self.type in NOT_HISTORY:
            raise InputError(f"type: {self.type!r} is kept for what the service logs itself; name another")
        at = time.time() if self.timestamp is None else self.timestamp
        return ServedEvent(self.user, self.item, at, self.type, self.context, self.id)


Several: TypeAlias = Annotated[list[EventBody], Field(min_length=1)]
EventsBody: TypeAlias = Annotated[
    Annotated[EventBody, Tag("one")] | Annotated[Several, Tag("several")], Discriminator(_is_list)
]


class ItemBody(_Body):
    """An item, new or with other columns than before."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"item": 900, "columns": {"genres": ["Drama"], "title": "The Play"}}]}
    )

    item: Id
    columns: Context = Field({}, description="Values of the table of items; others are missing.")

    def new_item(self) -> NewItem:
        """The same for the service; InputError for what JSON Schema cannot say."""
        return NewItem(self.item, self.columns)


SeveralItems: TypeAlias = Annotated[list[ItemBody], Field(min_length=1, max_length=MOST_ITEMS)]
ItemsBody: TypeAlias = Annotated[
    Annotated[ItemBody, Tag("one")] | Annotated[SeveralItems, Tag("several")], Discriminator(_is_list)
]


class BundleBody(_Body):
    """Which bundle is to answer from now on."""

    bundle: Text = Field(description="Name of a folder beside that of the bundle the service began with.")
