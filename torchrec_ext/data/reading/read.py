"""Reading: tables of events in memory, in files, or by name, into Events."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any, Literal, TypeAlias

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.coded import to_arrow
from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Options
from torchrec_ext.data.reading.event_tables import read_event_tables
from torchrec_ext.data.reading.open_events import expect_told, open_events
from torchrec_ext.data.reading.open_side import open_side
from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.data.reading.side_match import side_match
from torchrec_ext.data.reading.side_table import joined, read_side_table
from torchrec_ext.data.reading.source_record import source_record
from torchrec_ext.data.reading.words import settle
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.data.source import Order
from torchrec_ext.data.sources.column_spec import ColumnSettings, parse_columns
from torchrec_ext.data.sources.declaration import (
    Catalogue,
    Declaration,
    Encoding,
    TableFile,
    TableSource,
    declared_features,
)
from torchrec_ext.data.sources.find_declaration import find_declaration
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

log = logging.getLogger(__name__)

Sources: TypeAlias = TableSource | Declaration | Sequence[TableFile]

Features: TypeAlias = Sequence[str] | Mapping[str, Options | Mapping[str, Any] | None]


@recorded
def read_events(
    source: Sources,
    *,
    format: str | None = None,
    delimiter: str | None = None,
    header: Literal[True] | Sequence[str] = True,
    decimal: Literal[".", ","] = ".",
    quote: str | None = '"',
    encoding: Encoding = "utf-8",
    columns: Mapping[str, ColumnSettings] | None = None,
    users: TableSource | None = None,
    items: TableSource | None = None,
    user_features: Features | None = None,
    item_features: Features | None = None,
    context: Features | None = None,
    weights: Mapping[str, float] | None = None,
    order: Order | None = None,
    max_bad_share: float | None = None,
    catalogue: Catalogue | None = None,
    rejected: str | Path | None = None,
    data_dir: str | Path | None = None,
    folder: Path | None = None,
    progress: bool = False,
) -> Events:
    """Reads who did what when.

    Ids come back as given: integers as integers, words as words, ``007`` as ``007``. Rows that lack a user,
    an item or, where there are ratings, a rating, or of which a value cannot be read, are set aside with
    file, line and reason, and counted. The order of the rows is kept.

    Args:
        source: a DataFrame; an Arrow table; the path of a CSV, TSV or JSON Lines file (which may end in
            ``.gz``), of a Parquet file or a folder of them, of a MovieLens file or folder in an official
            layout, or of a ``.toml`` file that declares a data set (see ``sets``); a name such as ``ml-1m``;
            several tables, each a ``TableFile``; or a ``Declaration``.
        format: of a file whose suffix does not tell: ``csv``, ``tsv``, ``jsonl``, ``parquet``, ``criteo``,
            ``histories`` (a line a user: the user, then items in their order) or ``movielens``.
        delimiter: between the fields of text files, 1 to 4 bytes such as ``;`` or ``::``; None goes by the
            format.
        header: the names of the columns of a text file of events without a header; True reads them from its
            first line.
        decimal: mark of the numbers in text files, ``.`` or ``,``.
        quote: character around fields of text files; None if quotes are ordinary characters.
        encoding: of text files, ``utf-8``, ``latin-1`` or ``utf-16``.
        columns: our names (user, item, timestamp, rating, type, others) to the source's names, or to
            settings such as ``{"column": "ts", "unit": "ms"}`` or ``{"column": "tags", "kind":
            "categories"}``; they go before those of a declaration. What is not told is found by its name or a
            common other name, such as ``userId``; "" or None leaves it out. Of several tables of events
            each need not have all; what one lacks is missing in its rows.
        users: side features of users, a table with the users' id column. A warning says if less than half
            of the users of the events have a row there; ``source.sides`` counts them.
        items: the same of items, a table with the items' id column; its ``title`` is only shown.
        user_features: the columns of ``users`` a model may use, or these with options such as ``{"age":
            {"kind": "number", "missing": "median"}}``. None: what the declaration says, else all if
            ``users`` is given; none of those that MovieLens brings.
        item_features: the same of ``items``, ``title`` left out.
        context: columns of the events themselves that a model may use; None: what the declaration says.
        weights: how much an event of each type counts; types that are not named count as in ``WEIGHTS``.
        order: what the timestamps are: ``time``, or ``order`` for places in a history; None finds out.
        max_bad_share: the largest share of rows that may be set aside; None: 1%, or as declared.
        catalogue: ``events``: items and users of the events get rows; ``all``: those that only side tables
            have, too. None: as declared, else ``events``.
        rejected: Parquet file the rows set aside are written to.
        data_dir: where named data sets lie.
        folder: an empty one, where the columns are kept while they are used; None keeps them in memory.
        progress: shows a bar.

    Raises:
        InputError: if something is missing, empty, has other columns, or cannot be read, if more rows
            are bad than may be, or if a side table has a row for none of the ids of the events.

    Example:
        >>> ratings = pd.DataFrame({"uid": ["ann", "bob"], "sku": [7, 9], "stars": [4, 2]})
        >>> events = read_events(ratings, columns={"user": "uid", "item": "sku", "rating": "stars"})
        >>> events.frame.columns.tolist()
        ['user', 'item', 'rating']
        >>> events.source.order
        'none'
    """
    told = {} if columns is None else columns
    parsed = parse_columns(told, "columns")
    found = find_declaration(
        source, format, users, items, data_dir, catalogue,
        delimiter=delimiter, header=header, decimal=decimal, quote=quote, encoding=encoding,
    )  # fmt: skip
    found = replace(
        found,
        weights={**found.weights, **(weights or {})},
        order=order or found.order,
        max_bad_share=found.max_bad_share if max_bad_share is None else max_bad_share,
    )
    chosen = {
        "user": _chosen(user_features, found, "user"),
        "item": _chosen(item_features, found, "item"),
        "context": _chosen(context, found, "context"),
    }
    sides = {
        "user": [(open_side(file, "user"), file) for file in found.users],
        "item": [(open_side(file, "item"), file) for file in found.items],
    }
    elsewhere = {c for tables in sides.values() for table, _ in tables for c in table.columns}
    own = [name for name in chosen["context"] or {} if name != "timestamp"]
    tables = [open_events(file, found, parsed, own, elsewhere) for file in found.events]
    expect_told(parsed, tables, elsewhere)

    rejects = Rejects()
    read = read_event_tables(tables, rejects, itemless=found.itemless, folder=folder, progress=progress)
    names = {column.name: column.source for column in tables[0].columns}
    read_sides = {
        entity: [
            read_side_table(entity, table, file, {entity: names.get(entity), **told}, rejects)
            for table, file in opened
        ]
        for entity, opened in sides.items()
    }
    rows = read.rows + sum(side.rows for sides_read in read_sides.values() for side in sides_read)
    _report(rejects, rows, found.max_bad_share, found.name, rejected)
    for entity, side_tables in read_sides.items():
        settle([*read.words(entity), *(side.ids.words for side in side_tables)])
    done = read.finish()
    if not len(next(iter(done.values()))):
        raise InputError(f"none of the {read.rows:,} rows of {found.name} is complete; name other columns")

    frames = {entity: joined(side_tables, entity) for entity, side_tables in read_sides.items()}
    matches = []
    for entity, side_tables in read_sides.items():
        for words, side in product(read.words(entity), side_tables):
            matches.append(side_match(entity, words.finish(), side.name, side.ids.words.finish()))
    features = {
        "user": _features(chosen["user"], frames["user"], given=users is not None),
        "item": _features(chosen["item"], frames["item"], given=items is not None),
        "context": chosen["context"] or {},
    }
    opened = [*(t.table for t in tables), *(table for pairs in sides.values() for table, _ in pairs)]
    files = [*(path for table in opened for path in table.paths), *found.files]
    return Events(
        table=pa.table({name: to_arrow(column) for name, column in done.items()}),
        source=source_record(found.name, files, done, read.rows, found.order, matches),
        users=frames["user"],
        items=frames["item"],
        catalogue=found.catalogue,
        user_features=tuple(features["user"]),
        item_features=tuple(features["item"]),
        context_features=tuple(features["context"]),
        options={f"{e}_{n}": o for e, named in features.items() for n, o in named.items() if o is not None},
        weights=found.weights,
    )


def _chosen(
    given: Features | None, found: Declaration, entity: Entity
) -> Mapping[str, Options | None] | None:
    told = declared_features(given, f"{entity} feature")
    return found.features.get(entity) if told is None else told


def _features(
    chosen: Mapping[str, Options | None] | None, side: pd.DataFrame | None, given: bool
) -> Mapping[str, Options | None]:
    if chosen is not None:
        return chosen
    return {c: None for c in side.columns[1:] if c != "title"} if given and side is not None else {}


def _report(
    rejects: Rejects, rows: int, max_bad_share: float, name: str, rejected: str | Path | None
) -> None:
    """Says what was set aside, and refuses too much of it."""
    if rejected is not None:
        try:
            Path(rejected).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(
                f"cannot make the folder of {rejected} for the bad rows: {error.strerror}"
            ) from error
        rejects.write(rejected)
    rejects.check(rows, max_bad_share, name)
    if rejects.total:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in rejects.counts().items())
        log.warning("%s: set aside %s rows of %s (%s)", name, f"{rejects.total:,}", f"{rows:,}", reasons)
