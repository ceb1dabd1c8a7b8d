"""The content of events as they were read: rows and column checksums that show whether rows were added."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.columns import codes_of, column_of, numbers_of, used, words_of
from torchrec_ext.data.events import Events

_PIECE = 1 << 20
"""Rows that are in memory at a time."""
_Columns: TypeAlias = Mapping[str, Callable[[], pa.Array]]


class Content(Mapping[str, Any]):
    """Rows and checksums of the events and of their side tables, as JSON holds them.

    They are computed, and the tables released, when they are first asked for: by a run or a prepared folder
    that records them. They do not depend on the format of a file, nor on whether whole numbers are read as
    integers. A deep copy is a plain dict.

    Args:
        events: as they were read.

    Example:
        >>> from torchrec_ext.data import read_events
        >>> content = Content(read_events(pd.DataFrame({"user": [1, 1], "item": ["a", "b"]})))
        >>> content["events"]["rows"], list(content["events"]["sha256"])
        (2, ['user', 'item'])
    """

    def __init__(self, events: Events) -> None:
        self._tables, self._found = _tables(events), dict[str, Any]()

    def __getitem__(self, table: str) -> Any:
        if table in self._tables:
            rows, columns = self._tables[table]
            sums = {name: _checksum(column(), rows) for name, column in columns.items()}
            self._found[table] = {"rows": rows, "sha256": sums}
            del self._tables[table]
        return self._found[table]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._found, *self._tables])

    def __len__(self) -> int:
        return len(self._found) + len(self._tables)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return dict(self)


def find_change(events: Events, content: Mapping[str, Any]) -> str | None:
    """What has changed in rows that were there before, in words; None where rows were added at most.

    Args:
        events: as read now, before cleaning.
        content: their :class:`Content` before.

    Example:
        >>> from torchrec_ext.data import read_events
        >>> frame = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"]})
        >>> content = Content(read_events(frame[:2]))
        >>> find_change(read_events(frame), content), find_change(read_events(frame[1:]), content)
        (None, "column 'user' of the events differs")
    """
    now = _tables(events)
    for table, before in content.items():
        what = "the events" if table == "events" else f"the table of {table}"
        rows, columns = now.get(table, (0, {}))
        if rows < before["rows"]:
            return f"{what}: {rows:,} rows are left of {before['rows']:,}"
        for name, checksum in before["sha256"].items():
            if name not in columns or _checksum(columns[name](), before["rows"]) != checksum:
                return f"column {name!r} of {what} differs"
    return None


def _tables(events: Events) -> dict[str, tuple[int, _Columns]]:
    """Rows and columns of the events and of the side tables that there are."""
    columns: _Columns = {name: partial(events.column, name) for name in events.table.column_names}
    tables = {"events": (len(events), columns)}
    for table, frame in (("users", events.users), ("items", events.items)):
        if frame is not None:
            tables[table] = (len(frame), {str(name): partial(column_of, frame[name]) for name in frame})
    return tables


def _checksum(column: pa.Array, rows: int) -> str:
    """Checksum of the first rows of a column."""
    digest = hashlib.sha256()
    _add(digest, column.slice(0, rows))
    return digest.hexdigest()


def _add(digest: Any, column: pa.Array) -> None:
    if pa.types.is_list(column.type):
        _add(digest, pa.array(column.offsets.to_numpy() - column.offsets[0].as_py()))
        return _add(digest, column.flatten())
    if pa.types.is_timestamp(column.type):  # the nearest seconds, and what is finer than a microsecond
        ticks = column.cast(pa.int64()).to_numpy()
        _add(digest, pa.array(ticks // 10**9 + ticks % 10**9 / 1e9))
        column = pa.array(rest if (rest := ticks % 1000).any() else rest[:0])
    if pa.types.is_dictionary(column.type):
        column = used(column)  # words in order of first appearance, without those of later rows
        digest.update(pd.util.hash_array(words_of(column).astype(str).to_numpy(dtype=object)).tobytes())
        numbers = codes_of(column)
    else:
        numbers = numbers_of(column)
    for start in range(0, len(numbers), _PIECE):
        digest.update(np.ascontiguousarray(numbers[start : start + _PIECE], np.float64))
