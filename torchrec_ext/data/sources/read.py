"""read_events: tables of events in memory, in files, or by name, as Events."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Options
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.data.source import Order, Source
from torchrec_ext.data.sources.choose_columns import choose_columns
from torchrec_ext.data.sources.declaration import (
    Catalogue,
    ColumnSettings,
    Declaration,
    Encoding,
    TableFile,
    TableSource,
)
from torchrec_ext.data.sources.dictionary import unify_id_types
from torchrec_ext.data.sources.find_declaration import find_declaration
from torchrec_ext.data.sources.read_columns import read_columns
from torchrec_ext.data.sources.scan import Scan, Session, open_scan, open_session
from torchrec_ext.data.sources.side_table import join, match_sides
from torchrec_ext.data.sources.source_file import checksums_of, reading
from torchrec_ext.data.sources.source_record import source_record
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

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
    labels: Sequence[str] | None = None,
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
        source: a DataFrame of pandas or Polars, an Arrow table or stream, or a DuckDB relation; the path of a
            CSV, TSV or JSON Lines file (also ``.gz``), of Parquet (a file or a folder), of MovieLens (the
            same), or of a ``.toml`` file that declares a data set; a name such as ``ml-1m``; several
            ``TableFile``; or a ``Declaration``.
        format: of a file whose suffix does not tell: ``csv``, ``tsv``, ``jsonl``, ``parquet``, ``criteo``,
            ``histories`` (a line a user: the user, then items in their order) or ``movielens``.
        delimiter: between the fields of text files, 1 to 4 bytes such as ``;``; None goes by the format.
        header: names of the columns of a text file of events; True reads them from its first line.
        decimal: mark of the numbers in text files.
        quote: character around fields of text files; None if quotes are ordinary characters.
        encoding: of text files.
        columns: our names (user, item, timestamp, rating, type, others) to the source's, or to settings such
            as ``{"column": "ts", "unit": "ms"}`` or ``{"column": "tags", "kind": "categories"}``, before
            those of a declaration. Others are found by their name or a common one, such as ``userId``; ""
            or None leaves one out. Of several tables each need not have all.
        users: side features of users, a table with their id column; ``source.sides`` counts the users of the
            events that have a row there, and less than half is a warning.
        items: the same of items; a ``title`` is only shown.
        user_features: the columns of ``users`` a model may use, perhaps with options such as ``{"age":
            {"kind": "number", "missing": "median"}}``. None: as declared, else all if ``users`` is given.
        item_features: the same of ``items``, ``title`` left out.
        context: columns of the events themselves that a model may use; None: as declared.
        labels: columns of numbers that labels of a ranker are made of, beside ``rating``; None: as declared.
        weights: how much an event of each type counts; others count as in ``WEIGHTS``.
        order: what the timestamps are: ``time``, or ``order`` for places in a history; None finds out.
        max_bad_share: the largest share of rows that may be set aside; None: as declared, else 1%.
        catalogue: whose ids get rows: ``events``, or ``all``, side tables too. None: as declared, or events.
        rejected: Parquet file the rows set aside are written to.
        data_dir: where named data sets lie.
        folder: an empty one, where the columns are kept while they are used; None keeps them in memory.
        progress: shows a bar.

    Raises:
        InputError: if something is missing, empty, has other columns, or cannot be read, if more rows are bad
            than may be, or if a side table has a row for none of the ids of the events.

    Example:
        >>> import pandas as pd
        >>> ratings = pd.DataFrame({"uid": ["ann", "bob"], "sku": [7, 9], "stars": [4, 2]})
        >>> events = read_events(ratings, columns={"user": "uid", "item": "sku", "rating": "stars"})
        >>> events.frame.columns.tolist()
        ['user', 'item', 'rating']
        >>> events.source.order
        'none'
    """
    found = find_declaration(
        source, format, users, items, data_dir,
        delimiter=delimiter, header=header, decimal=decimal, quote=quote, encoding=encoding,
    )  # fmt: skip
    wanted: dict[Entity, Any] = {"user": user_features, "item": item_features, "context": context}
    found = replace(
        found,
        features={**found.features, **{entity: f for entity, f in wanted.items() if f is not None}},
        labels=found.labels if labels is None else labels,
        weights={**found.weights, **(weights or {})},
        order="order" if any(file.format == "histories" for file in found.events) else order or found.order,
        max_bad_share=found.max_bad_share if max_bad_share is None else max_bad_share,
        catalogue=catalogue or found.catalogue,
    )
    with open_session(folder) as session, ThreadPoolExecutor(1) as background:
        opened = {
            entity: [(_open(session, file, entity), file) for file in files]
            for entity, files in (("event", found.events), ("user", found.users), ("item", found.items))
        }
        paths = [path for tables in opened.values() for scan, _ in tables for path in scan.paths]
        checksums = background.submit(checksums_of, [*paths, *found.files])
        chosen = choose_columns(opened, found, columns or {})
        read = read_columns(session, chosen["event"], folder, progress)
        sides = {
            entity: [read_columns(session, [table]) for table in chosen[entity]]
            for entity in ("user", "item")
        }
    if rejected is not None:
        session.rejects.write(rejected)
    rows = read.rows + sum(side.rows for tables in sides.values() for side in tables)
    session.rejects.check(rows, found.max_bad_share, found.name)
    for entity, tables in sides.items():
        unify_id_types([ids for columns in (read, *tables) for ids in columns.ids(entity)])
    if not read.plain.num_rows:
        raise InputError(f"none of the {read.rows:,} rows of {found.name} is complete; name other columns")
    features = {entity: found.features.get(entity, {}) for entity in get_args(Entity)}
    frames, matches = {}, []
    for entity, given in (("user", users), ("item", items)):
        frames[entity] = join(sides[entity], entity)
        matches += match_sides(sides[entity], read, entity)
        if given is not None and entity not in found.features:
            (table,) = chosen[entity]
            features[entity] = {spec.name: None for spec in table.specs[1:] if spec.name != "title"}
    events = Events(
        table=read.table(),
        source=Source(found.name, "", {}, "none", 0, read.rows, sides=tuple(matches)),
        users=frames["user"],
        items=frames["item"],
        user_features=tuple(features["user"]),
        item_features=tuple(features["item"]),
        context_features=tuple(features["context"]),
        options={f"{e}_{n}": o for e, named in features.items() for n, o in named.items() if o is not None},
        labels=tuple(found.labels),
        weights=found.weights,
        catalogue=found.catalogue,
        mapped=read.mapped,
    )
    return replace(events, source=source_record(events, checksums.result(), found.order))


def _open(session: Session, file: TableFile, entity: str) -> Scan:
    """Opens a table, which messages name by its path, or by what it is if it is in memory."""
    if isinstance(file.source, str | Path):
        name = str(Path(file.source).expanduser())
    elif entity != "event":
        name = f"the table of {entity}s"
    else:
        name = "the DataFrame" if type(file.source).__name__ == "DataFrame" else "the Arrow table"
    with reading(name):
        return open_scan(session, file, name)
