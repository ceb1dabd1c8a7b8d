"""The content of events as they were read: rows and column checksums that show whether rows were added."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, CodedLists, Column, column_of
from torchrec_ext.data.events import Events

_PIECE = 1 << 20
"""Rows that are in memory at a time."""


def content_of(events: Events) -> dict[str, Any]:
    """Rows and checksums of the events and of their side tables, as JSON holds them.

    The checksums do not depend on the format of a file, nor on whether whole numbers are read as integers.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> content = content_of(read_events(pd.DataFrame({"user": [1, 1], "item": ["a", "b"]})))
        >>> content["events"]["rows"], list(content["events"]["sha256"])
        (2, ['user', 'item'])
    """
    return {
        table: {"rows": rows, "sha256": {name: _sum(column, rows) for name, column in columns.items()}}
        for table, (rows, columns) in _tables(events).items()
    }


def find_change(events: Events, content: Mapping[str, Any]) -> str | None:
    """What has changed in rows that were there before, in words; None where rows were added at most.

    Args:
        events: as read now, before cleaning.
        content: what :func:`content_of` returned before.

    Returns:
        The first difference: rows that are missing, or a column whose first rows differ.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> frame = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"]})
        >>> content = content_of(read_events(frame[:2]))
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
            if name not in columns or _sum(columns[name], before["rows"]) != checksum:
                return f"column {name!r} of {what} differs"
    return None


def _tables(events: Events) -> dict[str, tuple[int, Mapping[str, Column]]]:
    """Rows and columns of the events and of the side tables that there are."""
    tables: dict[str, tuple[int, Mapping[str, Column]]] = {"events": (len(events), events.columns)}
    for table, frame in (("users", events.users), ("items", events.items)):
        if frame is not None:
            tables[table] = (len(frame), {str(name): column_of(frame[name]) for name in frame})
    return tables


def _sum(column: Column, rows: int) -> str:
    """Checksum of the first rows of a column."""
    digest = hashlib.sha256()
    _add(digest, column, rows)
    return digest.hexdigest()


def _add(digest: Any, column: Column, rows: int) -> None:
    if isinstance(column, CodedLists):
        _add(digest, column.offsets[: rows + 1], rows + 1)
        _add(digest, column.values, int(column.offsets[rows]))
        return
    if isinstance(column, Coded):
        # words in order of first appearance, without those of later rows
        column = Coded(column.codes[:rows], column.words).used()
        digest.update(pd.util.hash_array(column.words.astype(str).to_numpy(dtype=object)).tobytes())
        column = column.codes
    for start in range(0, rows, _PIECE):
        digest.update(np.ascontiguousarray(column[start : min(start + _PIECE, rows)], np.float64).tobytes())
