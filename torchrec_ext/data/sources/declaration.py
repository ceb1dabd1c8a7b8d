"""Declaration: the tables of a data set, how their text is written, and what their columns mean."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import pandas as pd
import pyarrow as pa
from pydantic import AfterValidator, Field, SkipValidation

from torchrec_ext.data.checked import checked
from torchrec_ext.data.features import Options, options_from
from torchrec_ext.data.source import Order
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

TableSource: TypeAlias = pd.DataFrame | pa.Table | str | Path
Format = Literal["csv", "tsv", "jsonl", "parquet", "histories"]
Encoding = Literal["utf-8", "latin-1", "utf-16"]
Catalogue = Literal["events", "all"]
Kind = Literal["id", "category", "categories", "number", "vector", "time", "type", "auto"]
Unit = Literal["s", "ms", "us", "ns"]
ColumnSettings: TypeAlias = str | Mapping[str, Any] | None
"""The table's name of a column, or settings such as {"column": "ts", "unit": "ms"}; "" or None omits it."""
T = TypeVar("T")
Several = Annotated[Sequence[T], AfterValidator(tuple)]
Word = Annotated[str, Field(min_length=1)]

#: Default weight of an event of each type; types that are not here have the weight 1.
WEIGHTS = {
    "view": 1.0, "click": 1.0, "like": 2.0, "follow": 2.0, "cart": 2.0, "share": 3.0, "purchase": 4.0,
    "search": 0.0,
}  # fmt: skip


def _features(declared: Mapping[Entity, Any]) -> dict[Entity, dict[str, Options | None]]:
    """Features of each entity, given as names, or as names with options."""
    found: dict[Entity, dict[str, Options | None]] = {}
    for entity, chosen in declared.items():
        where = f"{entity} feature"
        if isinstance(chosen, str) or not (
            isinstance(chosen, Iterable) and all(isinstance(name, str) for name in chosen)
        ):
            raise InputError(f"{where}s should be a list of names, received {chosen!r}; put it in a list")
        found[entity] = dict.fromkeys(chosen)
        for name, options in chosen.items() if isinstance(chosen, Mapping) else ():
            try:
                if options is not None and options != {}:
                    found[entity][name] = options if isinstance(options, Options) else options_from(options)
            except InputError as error:
                raise InputError(f"{where} {name!r}: {error}") from None
    return found


@checked
class ColumnSpec:
    """What one column of a table holds: our name of it, the table's name, and its settings."""

    name: Word
    source: Word
    kind: Kind  # auto: as its values show
    needed: bool = False  # whether a row without it is rejected
    separator: Word = "|"  # between the values of a list that is text
    unit: Unit | None = None  # of times that are numbers; None finds it in a sample
    width: Annotated[int, Field(ge=1)] | None = None  # of vectors
    # the table's types of event to ours; other types are rejected
    values: Annotated[Mapping[str, str], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        for setting, kind in (("unit", "time"), ("width", "vector"), ("values", "type")):
            if getattr(self, setting) is not None and self.kind != kind:
                raise InputError(
                    f"column {self.name!r} of kind {self.kind!r} has a {setting}, which is for kind {kind!r} "
                    "only; leave it out"
                )
        if self.kind == "vector" and self.width is None:
            raise InputError(f"column {self.name!r} of kind 'vector' has no width; set it, such as width=64")


@checked
class TableFile:
    """One table of a data set.

    Args:
        source: a path, or a table in memory.
        columns: our names to the table's names or to settings, see ``read_events``.
        format: of the file, if its suffix does not name it.
        type: of a table of events, the type of all of them, if no column holds it.
        gather: of a side table with several rows of an id, collects their values in a list.
        select: rows and columns made from those of the file, as a SELECT of DuckDB from the table ``this``,
            such as ``SELECT user, unnest(shown) AS item FROM this``; columns of text files are text there.
        delimiter: between the fields of a text file, 1 to 4 bytes; None goes by the format.
        header: names of the columns of a text file without a header; True reads them from its first line.
        decimal: mark of the numbers in a text file.
        quote: character around fields of a text file; None or "" if quotes are ordinary characters.
        encoding: of a text file.

    Raises:
        InputError: if one of these is of another kind.

    Example:
        >>> TableFile("ratings.csv", decimal=";")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: TableFile.decimal should be '.' or ',', received ';'
    """

    source: SkipValidation[TableSource]
    columns: Mapping[str, ColumnSettings] = field(default_factory=dict)
    format: Format | None = None
    type: Word | None = None
    gather: bool = False
    select: Word | None = None
    delimiter: Word | None = None
    header: Literal[True] | Several[Word] = True
    decimal: Literal[".", ","] = "."
    quote: Annotated[str | None, Field(max_length=1), AfterValidator(lambda quote: quote or None)] = '"'
    encoding: Encoding = "utf-8"

    def __post_init__(self) -> None:
        if self.delimiter is not None and len(self.delimiter.encode()) > 4:
            raise InputError(f"TableFile.delimiter should have at most 4 bytes, received {self.delimiter!r}")


@checked
class Declaration:
    """A data set: its tables, and which of their columns a model may use, and how.

    Args:
        name: names it in messages and records.
        events: tables of events, which become one log.
        users: side tables of users, joined by their id.
        items: side tables of items, joined by their id.
        features: for users, items and context the columns that a model may use and how each becomes its
            input; None infers that from the column's values.
        labels: columns of numbers of the events that labels of a ranker are made of, beside the rating.
        weights: weight of an event of each type; one that is not named weighs as in ``WEIGHTS``.
        itemless: types of events that need no item, such as a search.
        order: what the timestamps are, if the data does not show it.
        max_bad_share: the largest share of rows that may be rejected.
        catalogue: which users and items get a row: those of the ``events``, or ``all``, also those that
            only side tables have.
        files: that the tables in memory, or the declaration itself, were read from.

    Raises:
        InputError: if one of these is of another kind, or there is no table of events.
    """

    name: str
    events: Several[TableFile]
    users: Several[TableFile] = ()
    items: Several[TableFile] = ()
    features: Annotated[Mapping[Entity, Any], AfterValidator(_features)] = field(default_factory=dict)
    labels: Several[Word] = ()
    weights: Annotated[
        Mapping[str, Annotated[float, Field(ge=0)]], AfterValidator(lambda weights: WEIGHTS | weights)
    ] = field(default_factory=lambda: WEIGHTS)
    itemless: Several[Word] = ("search",)
    order: Order | None = None
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    catalogue: Catalogue = "events"
    files: Several[Path] = ()

    def __post_init__(self) -> None:
        if not self.events:
            raise InputError(f"{self.name} declares no table of events; name at least one")
        if any(table.gather for table in self.events):
            raise InputError(f"a table of events of {self.name} has gather, which is for side tables")
        if any(table.type is not None for table in (*self.users, *self.items)):
            raise InputError(f"a side table of {self.name} has a type, which is for tables of events")
