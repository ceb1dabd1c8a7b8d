"""Declaration: which tables a data set is made of, and what their columns mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, get_args

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.events import Order
from torchrec_ext.data.features import Category, Number, Options, Time, Vector, options_from
from torchrec_ext.data.features.plain import FLAG, Expected, expect, is_finite, one_of, optional
from torchrec_ext.data.sources.told import Told, expect_names
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

TableSource: TypeAlias = pd.DataFrame | pa.Table | str | Path

#: How much an event of each type counts, unless told; types that are not here count 1.
WEIGHTS = {
    "view": 1.0, "click": 1.0, "like": 2.0, "follow": 2.0, "cart": 2.0, "share": 3.0, "purchase": 4.0,
    "search": 0.0,
}  # fmt: skip
_WORD = Expected("a string", lambda value: isinstance(value, str) and value != "")
_WORDS = Expected(
    "a list of strings", lambda value: isinstance(value, list | tuple) and all(map(_WORD.fits, value))
)
_SHARE = Expected("a share from 0 to 1", lambda value: is_finite(value) and 0 <= value <= 1)
_WEIGHT = Expected("a number of 0 or more", lambda value: is_finite(value) and value >= 0)


@dataclass(frozen=True)
class TableFile:
    """One table of a data set.

    Args:
        source: a path, or a table in memory.
        columns: our names to what the table calls them, see ``read_events``.
        format: of the file, where its suffix does not tell.
        delimiter: between the fields of a text file, where the format does not tell.
        header: names of the columns of a text file that has no line of them.
        type: of a table of events, the type of all of them, where no column tells it.
        gather: of a side table with several rows an id, lays their values side by side in a list.

    Raises:
        InputError: if one of these is of another kind.
    """

    source: TableSource
    columns: Mapping[str, Told] = field(default_factory=dict)
    format: str | None = None
    delimiter: str | None = None
    header: Sequence[str] | None = None
    type: str | None = None
    gather: bool = False

    def __post_init__(self) -> None:
        shown = self.source if isinstance(self.source, str | Path) else "a table in memory"
        expect_names(self.columns, f"columns of {shown}")
        for name, wanted in (("format", _WORD), ("delimiter", _WORD), ("header", _WORDS), ("type", _WORD)):
            expect(f"{name} of {shown}", getattr(self, name), optional(wanted))
        expect(f"gather of {shown}", self.gather, FLAG)


@dataclass(frozen=True)
class Declaration:
    """A data set: its tables, and which of their columns a model may use, and how.

    Args:
        name: names it in messages and records.
        events: tables of events, which become one log.
        users: side tables of users, joined by their id.
        items: side tables of items, joined by their id.
        features: for users, items and context the columns a model may use and how each becomes its input;
            None where the column's values tell.
        weights: how much an event of each type counts.
        itemless: types of events that need no item, such as a search, whose words become context.
        order: what the timestamps are, where the data does not show it.
        max_bad_share: the largest share of rows that may be set aside.
        files: that the tables in memory, or what is declared, were read from.
    """

    name: str
    events: tuple[TableFile, ...]
    users: tuple[TableFile, ...] = ()
    items: tuple[TableFile, ...] = ()
    features: Mapping[Entity, Mapping[str, Options | None]] = field(default_factory=dict)
    weights: Mapping[str, float] = field(default_factory=lambda: WEIGHTS)
    itemless: tuple[str, ...] = ("search",)
    order: Order | None = None
    max_bad_share: float = 0.01
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        if not self.events:
            raise InputError(f"{self.name} declares no table of events; name one at least")
        for table in self.events:
            if table.gather:
                raise InputError(
                    f"a table of events of {self.name} has gather, which is for side tables; leave it out"
                )
        for table in (*self.users, *self.items):
            if table.type is not None:
                raise InputError(
                    f"a side table of {self.name} has the type {table.type!r}, which is for events; leave it "
                    "out"
                )
        for type, weight in self.weights.items():
            expect(f"weight of {type!r} of {self.name}", weight, _WEIGHT)
        expect(f"itemless of {self.name}", self.itemless, _WORDS)
        expect(f"order of {self.name}", self.order, optional(one_of(get_args(Order))))
        expect(f"max_bad_share of {self.name}", self.max_bad_share, _SHARE)


def declared_features(
    chosen: Sequence[str] | Mapping[str, Any] | None, where: str
) -> dict[str, Options | None] | None:
    """Features as names or as names with options; None stays None.

    Raises:
        InputError: for one string, whose letters would be taken for names, or wrong options.
    """
    if chosen is None:
        return None
    if isinstance(chosen, str):
        raise InputError(
            f"{where}s must be a list of names, received the string {chosen!r}; put it in a list"
        )
    if not isinstance(chosen, Mapping):
        return dict.fromkeys(chosen)
    found: dict[str, Options | None] = {}
    for name, options in chosen.items():
        told = options is not None and options != {}
        try:
            made = isinstance(options, Number | Category | Time | Vector)
            found[name] = options if made else options_from(options) if told else None
        except InputError as error:
            raise InputError(f"{where} {name!r}: {error}") from None
    return found
