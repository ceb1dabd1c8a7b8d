"""What is recorded of where events came from."""

import hashlib
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, Column
from torchrec_ext.data.reading.timestamps import order_of
from torchrec_ext.data.source import Order, SideMatch, Source, Step
from torchrec_ext.data.sources.source_file import sha256

log = logging.getLogger(__name__)


def source_record(
    name: str,
    files: Sequence[Path],
    columns: Mapping[str, Column],
    rows: int,
    order: Order | None,
    sides: Sequence[SideMatch] = (),
) -> Source:
    """The record of events that were read.

    Args:
        name: of the data set.
        files: that were read, that of the events first.
        columns: of the events.
        rows: read, those set aside among them.
        order: what the timestamps are as declared; None finds out.
        sides: how many ids have a row in each side table.
    """
    distinct = list(dict.fromkeys(files))
    sums = dict(zip(names_apart(distinct), map(sha256, distinct), strict=True))
    checksum = next(iter(sums.values())) if sums else _content(columns)
    users, items, times = (columns.get(n) for n in ("user", "item", "timestamp"))
    found, ties = order_of(
        users if isinstance(users, Coded) else None, times if isinstance(times, np.ndarray) else None
    )
    left = len(next(iter(columns.values())))
    steps: tuple[Step, ...] = ()
    if rows != left:
        steps = (Step("rows set aside", rows - left, left=left, users=_count(users), items=_count(items)),)
    settled = found if times is None else order or found
    source = Source(name, checksum, sums, settled, ties, rows, steps, tuple(sides))
    log.info("%s: %s rows, %s", name, f"{rows:,}", source.ordering)
    return source


def names_apart(paths: Sequence[Path]) -> list[str]:
    """The names of files; two that share one have the folders before it that tell them apart.

    Args:
        paths: distinct ones.

    Example:
        >>> names_apart([Path("2023/12/a.csv"), Path("2024/12/a.csv"), Path("2024/b.csv")])
        ['2023/12/a.csv', '2024/12/a.csv', 'b.csv']
    """
    whole = [path.absolute().parts for path in paths]
    depths = [1] * len(paths)
    while True:
        tails = ["/".join(parts[-depth:]) for parts, depth in zip(whole, depths, strict=True)]
        often = Counter(tails)
        if len(often) == len(tails):
            return tails
        depths = [depth + (often[tail] > 1) for depth, tail in zip(depths, tails, strict=True)]


def _count(column: Column | None) -> int:
    return int((column.counts() > 0).sum()) if isinstance(column, Coded) else 0


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
