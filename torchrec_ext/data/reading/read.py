"""Reading: a table of events in memory, in a file, or by name, into Events."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, Column, column_of
from torchrec_ext.data.events import Events, Source, Step, feature_names
from torchrec_ext.data.reading.columns import ALIASES, choose_columns
from torchrec_ext.data.reading.ids import IdColumn, shown, to_one_kind
from torchrec_ext.data.reading.movielens import is_event_file, read_movielens
from torchrec_ext.data.reading.named import NAMED, find_named
from torchrec_ext.data.reading.side_table import SideTable, read_side_table
from torchrec_ext.data.reading.tables import RawTable, open_table, sha256
from torchrec_ext.data.reading.timestamps import order_of, to_seconds
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

TableSource: TypeAlias = pd.DataFrame | str | Path


def read_events(
    source: TableSource,
    *,
    format: Literal["csv", "tsv", "parquet", "movielens"] | None = None,
    columns: Mapping[str, str | None] | None = None,
    users: TableSource | None = None,
    items: TableSource | None = None,
    user_features: Sequence[str] | None = None,
    item_features: Sequence[str] | None = None,
    context: Sequence[str] = (),
    data_dir: str | Path | None = None,
) -> Events:
    """Reads who did what when.

    Ids come back as given: integers as integers, words as words, ``007`` as ``007``. Rows without a user,
    an item or, where there are ratings, a rating are left out with a warning that counts them. The order
    of the rows is kept.

    Args:
        source: a DataFrame; the path of a CSV, TSV (both may end in ``.gz``) or Parquet file, or of a
            MovieLens file or folder in an official layout; or a name such as ``ml-1m`` (see ``named``).
        format: of a file whose suffix does not tell; ``movielens`` reads what lies beside the file too.
        columns: our names (user, item, timestamp, rating, others) to the source's names. What is not told
            is found by its name or a common other name, such as ``userId``; "" or None leaves it out.
        users: side features of users, a table with the users' id column.
        items: side features of items, a table with the items' id column; its ``title`` is only shown.
        user_features: the columns of ``users`` a model may use. None: all, if ``users`` is given; none of
            those that MovieLens brings (gender, age, occupation, zip).
        item_features: the columns of ``items`` a model may use. None: all but ``title``, if ``items`` is
            given; none of those that MovieLens brings (genres).
        context: columns of the events themselves that a model may use.
        data_dir: where named data sets lie.

    Raises:
        InputError: if something is missing, empty, has other columns, or cannot be read.

    Example:
        >>> ratings = pd.DataFrame({"uid": ["ann", "bob"], "sku": [7, 9], "stars": [4, 2]})
        >>> events = read_events(ratings, columns={"user": "uid", "item": "sku", "rating": "stars"})
        >>> events.frame.columns.tolist()
        ['user', 'item', 'rating']
        >>> events.source.order
        'none'
    """
    columns = columns or {}
    opened = _open(source, format, data_dir)
    table, tables = opened.table, {"user": opened.users, "item": opened.items}
    for entity, given in (("user", users), ("item", items)):
        if given is not None:
            tables[entity] = open_table(given, name=f"the table of {entity}s")
    elsewhere = {c for t in tables.values() if t is not None for c in t.columns} - set(table.columns)
    of_events = {n: c for n, c in columns.items() if n in ALIASES or c not in elsewhere}
    chosen = choose_columns(table.columns, of_events, context, table.name)
    twice = next((c for c in chosen.values() if list(chosen.values()).count(c) > 1), None)
    if twice is not None:
        names = " and ".join(n for n, c in chosen.items() if c == twice)
        raise InputError(f"column {twice!r} of {table.name} is taken as {names}; use it once")

    raw = table.load(list(chosen.values()), ids=[chosen["user"], chosen["item"]])
    raw.columns = pd.Index(list(chosen))
    rows = len(raw)
    where = {name: f"column {other!r} of {table.name}" for name, other in chosen.items()}
    if "rating" in raw:
        raw["rating"] = _ratings(raw["rating"], where["rating"])
    raw = raw[_complete(raw, table.name)]
    if "timestamp" in raw:
        raw = raw.assign(timestamp=to_seconds(raw["timestamp"], where["timestamp"]))

    sides: dict[str, pd.DataFrame | None] = {}
    for entity, side_table in tables.items():
        ids = [IdColumn(raw[entity], table.text, where[entity])]
        side: SideTable | None = None
        if side_table is not None:
            side = read_side_table(entity, side_table, {**columns, entity: chosen[entity]})
            ids.append(side.ids)
        settled = to_one_kind(ids)
        raw = raw.assign(**{entity: settled[0]})
        sides[entity] = None if side is None else side.with_ids(settled[1])

    known = [name for name in ("user", "item", "timestamp", "rating") if name in raw]
    in_order = (*known, *(name for name in chosen if name not in known))
    columns_of_events = {
        name: raw[name].to_numpy() if name in ("timestamp", "rating") else column_of(raw[name])
        for name in in_order
    }
    files = [*opened.files, *(t.path for t in tables.values() if t is not None and t.path is not None)]
    return Events(
        columns=columns_of_events,
        source=_source(opened.name, files, columns_of_events, rows),
        users=sides["user"],
        items=sides["item"],
        user_features=_features(user_features, sides["user"], given=users is not None),
        item_features=_features(item_features, sides["item"], given=items is not None),
        context_features=feature_names(context),
    )


class _Opened(NamedTuple):
    name: str
    table: RawTable
    files: list[Path]
    users: RawTable | None = None
    items: RawTable | None = None


def _open(source: TableSource, format: str | None, data_dir: str | Path | None) -> _Opened:
    if isinstance(source, pd.DataFrame):
        return _Opened("DataFrame", open_table(source, name="the DataFrame"), [])
    if not isinstance(source, str | Path):
        raise InputError(f"source must be a DataFrame, a path or a name, received {type(source).__name__}")
    path = Path(source).expanduser()
    looks_like_a_name = not path.suffix and len(path.parts) == 1 and not path.exists()
    if format in (None, "movielens") and isinstance(source, str) and (source in NAMED or looks_like_a_name):
        path = find_named(source, data_dir)
    elif not (format == "movielens" or format is None and (path.is_dir() or is_event_file(path))):
        return _Opened(str(source), open_table(path, name=str(path), format=format), [path])
    release = read_movielens(path)
    users, items = (
        None if frame is None else open_table(frame, name=f"{path}'s table of {entity}s")
        for entity, frame in (("user", release.users), ("item", release.items))
    )
    return _Opened(
        str(source), open_table(release.ratings, name=str(release.files[0])), release.files, users, items
    )


def _ratings(column: pd.Series, where: str) -> pd.Series:
    """Ratings as float64, missing ones as NaN."""
    missing = column.isna()
    ratings = pd.to_numeric(column.astype(object).where(~missing, np.nan), errors="coerce").astype(np.float64)
    bad = (ratings.isna() & ~missing) | np.isinf(ratings)
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{where} holds {shown(column.iloc[row])} in row {row + 1} ({bad.sum():,} such rows); "
            "expected a number: mend or remove these rows, or leave the column out with rating="
        )
    return ratings


def _complete(raw: pd.DataFrame, where: str) -> pd.Series:
    """Which rows have all that an event needs, with a warning about the others."""
    needed = [name for name in ("user", "item", "rating") if name in raw]
    missing = raw[needed].isna()
    kept = ~missing.any(axis=1)
    if not kept.all():
        counts = ", ".join(f"{n:,} with no {name}" for name, n in missing.sum().items() if n)
        if not kept.any():
            raise InputError(
                f"none of the {len(raw):,} rows of {where} is complete ({counts}); name other columns"
            )
        log.warning("%s: left out %s rows of %s (%s)", where, f"{(~kept).sum():,}", f"{len(raw):,}", counts)
    return kept


def _source(name: str, files: Sequence[Path], columns: Mapping[str, Column], rows: int) -> Source:
    sums = {path.name: sha256(path) for path in files}
    checksum = sums[files[0].name] if files else _content(columns)
    users, items = columns.get("user"), columns.get("item")
    assert isinstance(users, Coded) and isinstance(items, Coded)
    times = columns.get("timestamp")
    order, ties = order_of(users, times if isinstance(times, np.ndarray) else None)
    steps: tuple[Step, ...] = ()
    if rows != len(users):
        step = "rows without a user, an item or a rating"
        steps = (
            Step(step, rows - len(users), left=len(users), users=len(users.words), items=len(items.words)),
        )
    source = Source(name, checksum, sums, order, ties, rows, steps)
    log.info("%s: %s rows, %s", name, f"{rows:,}", source.ordering)
    return source


def _content(columns: Mapping[str, Column]) -> str:
    """Checksum of a table in memory: of its ids, times and ratings."""
    digest = hashlib.sha256()
    for name in ("user", "item", "timestamp", "rating"):
        column = columns.get(name)
        if isinstance(column, Coded):
            digest.update(pd.util.hash_pandas_object(column.words, index=False).to_numpy().tobytes())
            digest.update(column.codes.tobytes())
        elif isinstance(column, np.ndarray):
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.hexdigest()


def _features(chosen: Sequence[str] | None, side: pd.DataFrame | None, given: bool) -> tuple[str, ...]:
    if chosen is not None:
        return feature_names(chosen)
    return tuple(c for c in side.columns[1:] if c != "title") if given and side is not None else ()
