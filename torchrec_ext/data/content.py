"""The content of events as they were read: rows and column checksums that show whether rows were added."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.columns import codes_of, column_of, numbers_of, one_array, used, words_of
from torchrec_ext.data.events import Events

_PIECE = 1 << 20
"""Rows that are in memory at a time."""
_Table: TypeAlias = pa.Table | pd.DataFrame


class Content(Mapping[str, Any]):
    """Rows and checksums of the events and of their side tables as they were read, as JSON holds them.

    They are computed, and the tables released, when they are first asked for. They do not depend on the
    format of a file, nor on whether whole numbers are read as integers. A deep copy is a plain dict.
    """

    def __init__(self, events: Events) -> None:
        self._events: Events | None = events

    @cached_property
    def _found(self) -> dict[str, Any]:
        assert self._events is not None
        events, self._events = self._events, None
        found: dict[str, Any] = {}
        for name, table in _tables(events).items():
            found[name] = {"rows": len(table), "sha256": {}}
            for column in _columns(table):
                found[name]["sha256"][column] = _checksum(table, column)
                events.release_pages()
        return found

    def __getitem__(self, table: str) -> Any:
        return self._found[table]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __deepcopy__(self, memo: object) -> dict[str, Any]:
        return dict(self._found)


def find_change(events: Events, content: Mapping[str, Any]) -> str | None:
    """What has changed of the content before, in words; None where rows were added at most."""
    tables = _tables(events)
    for name, before in content.items():
        what, table = "the events" if name == "events" else f"the table of {name}", tables.get(name, ())
        if len(table) < before["rows"]:
            return f"{what}: {len(table):,} rows are left of {before['rows']:,}"
        for column, checksum in before["sha256"].items():
            if column not in _columns(table) or _checksum(table, column, before["rows"]) != checksum:
                return f"column {column!r} of {what} differs"
    return None


def _tables(events: Events) -> dict[str, _Table]:
    tables = {"events": events.table, "users": events.users, "items": events.items}
    return {name: table for name, table in tables.items() if table is not None}


def _columns(table: _Table) -> list[str]:
    return table.column_names if isinstance(table, pa.Table) else list(table)


def _checksum(table: _Table, name: str, rows: int | None = None) -> str:
    """Checksum of the first rows of a column."""
    digest = hashlib.sha256()
    column = one_array(table[name]) if isinstance(table, pa.Table) else column_of(table[name])
    _add(digest, column.slice(0, rows))
    return digest.hexdigest()


def _add(digest: Any, column: pa.Array) -> None:
    if pa.types.is_list(column.type):
        _add(digest, pa.array(column.offsets.to_numpy() - column.offsets[0].as_py()))
        return _add(digest, column.flatten())
    if pa.types.is_timestamp(column.type):  # the nearest seconds, and what is finer than a microsecond
        missing = column.is_null().to_numpy(zero_copy_only=False)
        ticks = column.cast(pa.int64()).fill_null(0).to_numpy()
        _add(digest, pa.array(np.where(missing, np.nan, ticks // 10**9 + ticks % 10**9 / 1e9)))
        column = pa.array(rest if (rest := ticks % 1000).any() else rest[:0])
    if pa.types.is_dictionary(column.type):
        column = used(column)  # words in order of first appearance, without those of later rows
        words = words_of(column).astype(str).to_numpy(dtype=object)
        digest.update(pd.util.hash_array(words, categorize=False))  # each stands there once
        numbers = codes_of(column)
    else:
        numbers = numbers_of(column)
    for start in range(0, len(numbers), _PIECE):
        digest.update(np.ascontiguousarray(numbers[start : start + _PIECE], np.float64))
