"""Event tables, one or several, read into the columns of one log."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from tqdm.auto import tqdm

from torchrec_ext.data.array_file import column_file
from torchrec_ext.data.coded import Column
from torchrec_ext.data.reading.accumulate import Accumulator, WordsColumn, accumulator
from torchrec_ext.data.reading.open_table import OpenTable
from torchrec_ext.data.reading.read_blocks import Block, read_blocks
from torchrec_ext.data.reading.rejects import MISSING_ID, Rejects
from torchrec_ext.data.reading.words import Words
from torchrec_ext.data.sources.column_spec import ColumnSpec as Declared
from torchrec_ext.errors import InputError

FIRST = ("user", "item", "timestamp", "rating", "type")
"""The columns that stand before all others."""


class OpenEvents(NamedTuple):
    """A table of events before any of its rows is read.

    Args:
        table: the table.
        columns: what to read of it.
        type: the type of all its events, where no column tells it.
    """

    table: OpenTable
    columns: Sequence[Declared]
    type: str | None = None


class ReadEvents(NamedTuple):
    """The columns of a log.

    Args:
        columns: by our names.
        rows: rows read, those set aside among them.
    """

    columns: Mapping[str, Accumulator]
    rows: int

    def words(self, name: str) -> list[Words]:
        """The words of a column of ids, in a list; an empty one where there is no such column."""
        found = self.columns.get(name)
        return [found.words] if isinstance(found, WordsColumn) else []

    def finish(self) -> dict[str, Column]:
        """The columns themselves."""
        return {name: found.finish() for name, found in self.columns.items()}


def read_event_tables(
    tables: Sequence[OpenEvents],
    rejects: Rejects,
    *,
    itemless: Sequence[str] = (),
    folder: Path | None = None,
    progress: bool = False,
) -> ReadEvents:
    """Reads tables one after the other, a block in memory at a time.

    A row without an item is set aside, unless its type needs none. What a table has no column for is
    missing in its rows.

    Args:
        tables: what to read.
        rejects: takes the bad rows.
        itemless: types of events that need no item.
        folder: where the columns are kept; None keeps them in memory.
        progress: shows how many rows were read.

    Raises:
        InputError: if a file cannot be read or is without rows, if tables disagree about a column's kind, or
            if one has users or times and another has none.
    """
    columns = _accumulators(tables, folder)
    before, kept = rejects.total, 0
    with tqdm(
        desc="reading", unit="row", unit_scale=True, leave=False, disable=None if progress else True
    ) as bar:
        for opened in tables:
            for block in read_blocks(opened.table, opened.columns, rejects):
                bar.update(len(block.lines))
                if "item" in columns:
                    block = _with_items(block, opened, rejects, itemless)
                _add(columns, block, opened)
                kept += len(block.lines)
    return ReadEvents(columns, kept + rejects.total - before)


def _accumulators(tables: Sequence[OpenEvents], folder: Path | None) -> dict[str, Accumulator]:
    declared: dict[str, tuple[Declared, str]] = {}
    for table, columns, constant in tables:
        for column in columns:
            known = declared.setdefault(column.name, (column, table.name))
            if (known[0].kind, known[0].width) != (column.kind, column.width):
                raise InputError(
                    f"column {column.name!r} is of kind {known[0].kind} in {known[1]} and {column.kind} in "
                    f"{table.name}; declare the same kind for both"
                )
        if constant is not None:
            declared.setdefault("type", (Declared("type", "type", "type"), table.name))
    for name in ("user", "timestamp"):
        lacking = [t.name for t, columns, _ in tables if name not in (column.name for column in columns)]
        if name in declared and lacking:
            raise InputError(
                f"{declared[name][1]} has the column {name!r} and {lacking[0]} has none; name it in both, or "
                "leave it out of both"
            )
    several = "" if len(tables) == 1 else " and the tables beside it"
    first = [name for name in FIRST if name in declared]
    return {
        name: accumulator(
            declared[name][0],
            f"column {declared[name][0].source!r} of {declared[name][1]}{several}",
            None if folder is None else column_file(folder, name),
        )
        for name in (*first, *(n for n in declared if n not in first))
    }


def _with_items(block: Block, opened: OpenEvents, rejects: Rejects, itemless: Sequence[str]) -> Block:
    """The block without the rows that lack an item they need."""
    names = block.rows.schema.names
    if "item" in names:
        missing = pc.is_null(block.rows.column("item"))
    else:
        missing = pa.array(np.ones(len(block.lines), bool))
    if "type" in names:
        spared = pc.is_in(block.rows.column("type"), value_set=pa.array(list(itemless), pa.string()))
        missing = pc.and_(missing, pc.invert(spared))
    elif opened.type in itemless:
        return block
    bad = missing.to_numpy(zero_copy_only=False)
    if not bad.any():
        return block
    source = next((c.source for c in opened.columns if c.name == "item"), "item")
    rejects.add(block.file, block.lines[bad], source, MISSING_ID, [None] * int(bad.sum()))
    return Block(block.rows.filter(pa.array(~bad)), block.lines[~bad], block.file)


def _add(columns: Mapping[str, Accumulator], block: Block, opened: OpenEvents) -> None:
    rows = len(block.lines)
    names = block.rows.schema.names
    for name, column in columns.items():
        if name in names:
            column.add(block.rows.column(name), opened.table.text)
        elif name == "type" and opened.type is not None:
            column.add(pa.array([opened.type]).take(pa.array(np.zeros(rows, np.int64))), False)
        else:
            column.skip(rows)
