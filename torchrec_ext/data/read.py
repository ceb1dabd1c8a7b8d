"""Reading: a table of events in memory, in a file, or by name, into Events."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from torchrec_ext.data.columns import choose_columns
from torchrec_ext.data.events import Events, Source, Step
from torchrec_ext.data.ids import IdColumn, to_one_kind
from torchrec_ext.data.movielens import event_file, is_event_file, read_movielens
from torchrec_ext.data.named import NAMED, find_named
from torchrec_ext.data.side_table import SideTable, open_side_table
from torchrec_ext.data.tables import RawTable, open_table, sha256
from torchrec_ext.data.timestamps import order_of, to_seconds
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

Table = pd.DataFrame | str | Path


def read_events(
    source: Table,
    *,
    format: Literal["csv", "tsv", "parquet", "movielens"] | None = None,
    columns: Mapping[str, str | None] | None = None,
    users: Table | None = None,
    items: Table | None = None,
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
        source: a DataFrame; the path of a CSV, TSV (both may end in ``.gz``) or Parquet file, of a MovieLens
            file or folder in an official layout; or a name such as ``ml-1m`` (see ``named.find_named``).
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
        InputError: if something is missing, empty, of other columns, or not readable.

    Example:
        >>> ratings = pd.DataFrame({"uid": ["ann", "bob"], "sku": [7, 9], "stars": [4, 2]})
        >>> events = read_events(ratings, columns={"user": "uid", "item": "sku", "rating": "stars"})
        >>> print(events.describe())
        DataFrame: 2 events of 2 users and 2 items; features none; there are no timestamps: the order of \
the rows is the order of a user's events
    """
    opened = _open(source, format, data_dir)
    chosen = choose_columns(opened.table.columns, _own(columns, opened.table, users, items), context, opened.table.name)
    raw = opened.table.load(list(chosen.values()), ids=[chosen["user"], chosen["item"]])
    raw.columns = list(chosen)
    where = {name: f"column {other!r} of {opened.table.name}" for name, other in chosen.items()}

    frame = pd.DataFrame(index=raw.index)
    if "timestamp" in raw:
        frame["timestamp"] = to_seconds(raw["timestamp"], where["timestamp"])
    if "rating" in raw:
        frame["rating"] = _ratings(raw["rating"], where["rating"])
    kept = _complete(raw, opened.table.name)
    sides: dict[str, SideTable | None] = {}
    for entity, given, brought in (("user", users, opened.users), ("item", items, opened.items)):
        side = open_side_table(entity, given if given is not None else brought, chosen[entity], columns or {})
        ids = [IdColumn(raw.loc[kept, entity], opened.table.text, where[entity])]
        settled = to_one_kind(ids if side is None else [*ids, side.ids])
        frame[entity] = settled[0]
        sides[entity] = None if side is None else side.with_ids(settled[1])
    for name in chosen:
        if name not in frame:
            frame[name] = raw[name]
    ...
