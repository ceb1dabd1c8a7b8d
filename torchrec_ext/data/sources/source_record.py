"""The record of where events came from, and what their timestamps are."""

import hashlib
import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.columns import codes_of, one_array
from torchrec_ext.data.source import Order, SideMatch, Source, Step
from torchrec_ext.data.sources.source_file import sha256

log = logging.getLogger(__name__)


def source_record(
    name: str,
    checksums: dict[str, str],
    table: pa.Table,
    rows: int,
    order: Order | None,
    sides: Sequence[SideMatch] = (),
) -> Source:
    """The record of events that were read.

    Args:
        name: of the data set.
        checksums: of the files that were read, see :func:`checksums_of`.
        table: of the events.
        rows: read, the rejected ones among them.
        order: what the timestamps are as declared; None finds out.
        sides: how many ids have a row in each side table.
    """
    checksum = next(iter(checksums.values())) if checksums else _content(table)
    codes = {n: codes_of(table[n]) if n in table.column_names else None for n in ("user", "item")}
    times = None
    if "timestamp" in table.column_names:
        found = one_array(table["timestamp"])
        times = (found.cast(pa.int64()) if pa.types.is_timestamp(found.type) else found).to_numpy()
    found_order, ties = order_of(codes["user"], times)
    left = table.num_rows
    steps: tuple[Step, ...] = ()
    if rows != left:
        users, items = (0 if c is None else int((np.bincount(c[c >= 0]) > 0).sum()) for c in codes.values())
        steps = (Step("rows set aside", rows - left, left=left, users=users, items=items),)
    settled = found_order if times is None else order or found_order
    source = Source(name, checksum, checksums, settled, ties, rows, steps, tuple(sides))
    log.info("%s: %s rows, %s", name, f"{rows:,}", source.ordering)
    return source


def checksums_of(files: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files by name, with the folders before it where two share one."""
    distinct = list(dict.fromkeys(files))
    return dict(zip(names_apart(distinct), map(sha256, distinct), strict=True))


def order_of(users: np.ndarray | None, times: np.ndarray | None) -> tuple[Order, int]:
    """What the timestamps of events are, and how many events share user and timestamp with another.

    Timestamps are positions in a history if they are whole numbers, none is above the number of its user's
    events, and few are equal.

    Args:
        users: (N,) codes of the users; None if all events are one's.
        times: (N,) timestamps, or None.

    Example:
        >>> order_of(np.array([0, 1, 0, 0, 1]), np.array([2, 0, 1, 0, 1]))
        ('order', 0)
    """
    if times is None:
        return "none", 0
    users = np.zeros(len(times), np.int32) if users is None else users
    ties = _ties(users, times)
    if times.min() < 0 or times.max() > len(times) or ties > 0.1 * len(times):
        return "time", ties
    counts = np.bincount(users)
    places = bool((times == np.floor(times)).all()) and bool((times <= counts[users]).all())
    return ("order" if places else "time"), ties


def _ties(users: np.ndarray, times: np.ndarray) -> int:
    if bool((times[1:] >= times[:-1]).all()):  # then ties are among neighbours of equal time
        same = times[1:] == times[:-1]
        rows = np.append(same, False) | np.append(False, same)
        users, times = users[rows], times[rows]
    order = by_user_and_time(users, times)
    same = (users[order[1:]] == users[order[:-1]]) & (times[order[1:]] == times[order[:-1]])
    return int((np.append(same, False) | np.append(False, same)).sum()) if len(order) else 0


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


def _content(table: pa.Table) -> str:
    """Checksum of a table in memory: of its ids, times and ratings."""
    digest = hashlib.sha256()
    for name in ("user", "item", "timestamp", "rating"):
        if name not in table.column_names:
            continue
        column = one_array(table[name])
        if pa.types.is_dictionary(column.type):
            digest.update("\0".join(map(str, column.dictionary.to_pylist())).encode())
            column = pa.array(codes_of(column))
        digest.update(np.ascontiguousarray(column.to_numpy(zero_copy_only=False)).tobytes())
    return digest.hexdigest()
