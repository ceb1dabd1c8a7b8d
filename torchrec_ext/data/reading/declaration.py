"""Declaration: which tables a data set is made of, and what their columns mean."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeAlias, get_args

from torchrec_ext.data.events import Order
from torchrec_ext.data.features import Options, options_from
from torchrec_ext.data.reading.column import Column
from torchrec_ext.data.reading.open_table import TableSource
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

Told: TypeAlias = str | Mapping[str, Any] | None
"""A column of a table: its name there, or its name and settings, such as {"column": "ts", "unit": "ms"};
"" or None leaves it out."""

#: How much an event of each type counts, unless told; types that are not here count 1.
WEIGHTS = {
    "view": 1.0, "click": 1.0, "like": 2.0, "follow": 2.0, "cart": 2.0, "share": 3.0, "purchase": 4.0,
    "search": 0.0,
}  # fmt: skip
KINDS = {"user": "id", "item": "id", "timestamp": "time", "rating": "number", "type": "type"}


@dataclass(frozen=True)
class TableFile:
    """One table of a data set.

    Args:
        source: a path, or a table in memory.
        columns: our names to what the table calls them.
        format: of the file, where its suffix does not tell.
        delimiter: between the fields of a text file, where the format does not tell.
        header: names of the columns of a text file that has no line of them.
        type: the type of all its events, where no column tells it.
        gather: of a side table with several rows an id, lays their values side by side in a list.
    """

    source: TableSource
    columns: Mapping[str, Told] = field(default_factory=dict)
    format: str | None = None
    delimiter: str | None = None
    header: Sequence[str] | None = None
    type: str | None = None
    gather: bool = False


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
        if not 0 <= self.max_bad_share <= 1:
            raise InputError(f"max_bad_share must be a share from 0 to 1, received {self.max_bad_share}")
        if self.order not in (None, *get_args(Order)):
            raise InputError(f"order must be one of {', '.join(get_args(Order))}, received {self.order!r}")


def declared_column(name: str, source: str, settings: Mapping[str, Any], needed: bool) -> Column:
    """A column with the kind that its name or its settings say.

    Args:
        name: our name.
        source: the table's name.
        settings: of :class:`Column`, the kind among them.
        needed: whether a row without it is bad, unless the settings say.

    Raises:
        InputError: for a setting there is not.
    """
    known = {f.name for f in fields(Column)} - {"name", "source"}
    for key in settings:
        if key not in {*known, "column"}:
            raise InputError(
                f"column {name!r} has no setting {key!r}{nearest(key, known)}; there are "
                f"{', '.join(sorted(known))}"
            )
    own: dict[str, Any] = {"kind": KINDS.get(name, "auto"), "needed": needed, **settings}
    own.pop("column", None)
    return Column(name, source, **own)


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
            f"features must be a list of names, received the string {chosen!r}; put it in a list"
        )
    if not isinstance(chosen, Mapping):
        return dict.fromkeys(chosen)
    found: dict[str, Options | None] = {}
    for name, options in chosen.items():
        try:
            found[name] = (
                options_from(options) if isinstance(options, Mapping) and options else options or None
            )
        except InputError as error:
            raise InputError(f"{where} {name!r}: {error}") from None
    return found


def nearest(name: str, there: Sequence[str] | set[str]) -> str:
    """A hint at the name that was meant, or nothing."""
    close = difflib.get_close_matches(name, list(there), n=1)
    return f", did you mean {close[0]!r}?" if close else ""
