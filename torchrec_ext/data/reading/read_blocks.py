"""Reading a table of any kind block by block: columns under our names, values parsed, bad rows set aside."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.reading.open_table import OpenTable
from torchrec_ext.data.reading.parse_list import parse_categories, parse_vector
from torchrec_ext.data.reading.parse_number import parse_number
from torchrec_ext.data.reading.parse_time import TimeParser
from torchrec_ext.data.reading.parse_word import parse_auto, parse_category, parse_id, parse_type
from torchrec_ext.data.reading.parsed import Parsed, flags
from torchrec_ext.data.reading.python_values import array_of
from torchrec_ext.data.reading.raw_block import RawBlock, RawColumn
from torchrec_ext.data.reading.rejects import (
    BROKEN_ENCODING,
    MISSING_ID,
    MISSING_NUMBER,
    MISSING_TIME,
    MISSING_VALUE,
    Rejects,
)
from torchrec_ext.data.sources.column_spec import ColumnSpec as Column
from torchrec_ext.errors import InputError, nearest

_MISSING = {"id": MISSING_ID, "number": MISSING_NUMBER, "time": MISSING_TIME}

Parse: TypeAlias = Callable[[pa.Array], Parsed]


class Block(NamedTuple):
    """Good rows of a table.

    Args:
        rows: one column for each asked for, in that order, by our names.
        lines: (rows,) int64, the line of each in its file, from 1, the header counted; the row, in a typed
            table. Line ends amid quotes are not counted.
        file: the file they are from, or the name of the table in memory.
    """

    rows: pa.RecordBatch
    lines: np.ndarray
    file: str


def read_blocks(
    table: OpenTable, columns: Sequence[Column], rejects: Rejects, rows: int = 1 << 18
) -> Iterator[Block]:
    """Reads columns of a table, a block in memory at a time.

    Every row of the table is in a block or in ``rejects``, once. By kind, the values are: ``id``,
    ``category`` and ``auto`` string or int64 as the table holds them (null where it holds none in the whole
    block; ``auto`` also float64 and other types of a typed table); ``categories`` lists of these; ``number``
    float64; ``vector`` fixed_size_list<float32>; ``time`` float64, unix seconds, or timestamp[ns]
    where the block has times finer than a microsecond; ``type`` string.

    Args:
        table: see :func:`open_table`.
        columns: what to read; two may share a column of the table.
        rejects: takes the bad rows.
        rows: the most rows of a block.

    Raises:
        InputError: if a column is not there, or not once; if a file cannot be read; if there are no rows.

    Example:
        >>> from torchrec_ext.data.reading.open_table import open_table
        >>> table = open_table(pa.table({"uid": ["007", None], "ts": [5, 6]}))
        >>> columns = [Column("user", "uid", "id", needed=True), Column("timestamp", "ts", "time")]
        >>> rejects = Rejects()
        >>> [block.rows.to_pydict() for block in read_blocks(table, columns, rejects)]
        [{'user': ['007'], 'timestamp': [5.0]}]
        >>> rejects.counts()
        {'missing id': 1}
    """
    if not columns:
        raise InputError(f"no column of {table.name} is asked for; name at least one")
    if rows < 1:
        raise InputError(f"rows of a block should be at least 1, received {rows}")
    names = [column.name for column in columns]
    for column in columns:
        if names.count(column.name) > 1:
            raise InputError(f"{column.name!r} is asked for twice from {table.name}; ask once")
        _expect_column(table, column.source)
    return _blocks(table, columns, rejects, rows)


def _expect_column(table: OpenTable, name: str) -> None:
    there = table.columns.count(name)
    if there > 1:
        raise InputError(f"{table.name} has the column {name!r} more than once; rename one")
    if not there:
        hint = nearest(name, table.columns)
        raise InputError(f"{table.name} has no column {name!r}{hint}; it has {', '.join(table.columns)}")


def _blocks(table: OpenTable, columns: Sequence[Column], rejects: Rejects, rows: int) -> Iterator[Block]:
    where = [f"column {column.source!r} of {table.name}" for column in columns]
    parsers = [_parser(column, place) for column, place in zip(columns, where, strict=True)]
    sources = list(dict.fromkeys(column.source for column in columns))
    before, any_row = rejects.total, False
    for raw in table.raw_blocks(sources, rejects, rows):
        if not len(raw.lines):
            continue
        any_row = True
        left = np.ones(len(raw.lines), dtype=bool)
        arrays = []
        for column, parse, place in zip(columns, parsers, where, strict=True):
            values, bad = _parsed(raw, column, parse, place)
            if column.needed and values.null_count:
                bad = (*bad, (flags(values.is_null()), _MISSING.get(column.kind, MISSING_VALUE)))
            for mask, reason in bad:
                _set_aside(rejects, raw, column.source, reason, np.flatnonzero(mask & left))
                left &= ~mask
            arrays.append(values)
        batch = pa.RecordBatch.from_arrays(arrays, names=[column.name for column in columns])
        if left.all():
            yield Block(batch, raw.lines, raw.file)
        elif left.any():
            yield Block(batch.filter(pa.array(left)), raw.lines[left], raw.file)
    if not any_row and rejects.total == before:
        raise InputError(f"{table.name} has no rows; expected one row an event, user or item")


def _parser(column: Column, where: str) -> Parse:
    match column.kind:
        case "id":
            return lambda values: parse_id(values, where)
        case "category":
            return lambda values: parse_category(values, where)
        case "categories":
            return lambda values: parse_categories(values, column.separator, where)
        case "number":
            return lambda values: parse_number(values, where)
        case "vector":
            return lambda values: parse_vector(values, column.separator, column.width or 1, where)
        case "time":
            return TimeParser(column.unit, where)
        case "type":
            return lambda values: parse_type(values, column.values, where)
        case _:
            return parse_auto


def _parsed(raw: RawBlock, column: Column, parse: Parse, where: str) -> Parsed:
    held: RawColumn = raw.columns[column.source]
    bad: tuple[tuple[np.ndarray, str], ...] = ()
    if isinstance(held, list):
        held, bad = array_of(held, column.kind, where)
    elif raw.marker is not None:
        broken = flags(pc.match_substring(held, raw.marker))
        bad = ((broken, BROKEN_ENCODING),)
    values, more = parse(held)
    return Parsed(values, (*bad, *more))


def _set_aside(rejects: Rejects, raw: RawBlock, column: str, reason: str, places: np.ndarray) -> None:
    if not len(places):
        return
    held = raw.columns[column]
    shown = places[: max(rejects.room, 1)]
    if isinstance(held, list):
        values = [held[place] for place in shown]
    else:
        values = held.take(pa.array(shown)).to_pylist()
        if raw.marker is not None:
            values = [None if v is None else v.replace(raw.marker, "\ufffd") for v in values]
    rejects.add(raw.file, raw.lines[places], column, reason, values)
