"""From the blocks of a column to the column: one accumulator for each kind of value."""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.array_file import GrowingArray
from torchrec_ext.data.coded import Coded, CodedLists, Column
from torchrec_ext.data.reading.fine_times import PER_SECOND, seconds_in_order, seconds_of
from torchrec_ext.data.reading.parse_number import numbers_of
from torchrec_ext.data.reading.parsed import flags
from torchrec_ext.data.reading.words import Words
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.sources.column_spec import ColumnSpec as Declared
from torchrec_ext.errors import InputError


class Accumulator(Protocol):
    """Takes the blocks of a column and gives the column."""

    def add(self, values: pa.Array, text: bool) -> None:
        """Adds a block; ``text`` tells whether it comes from a text file."""

    def skip(self, rows: int) -> None:
        """Adds rows of a table that has no such column."""

    def finish(self) -> Column:
        """The whole column."""


def accumulator(column: Declared, where: str, path: Path | None) -> Accumulator:
    """What takes the blocks of a column.

    Args:
        column: its kind, as :func:`~torchrec_ext.data.reading.read_blocks.read_blocks` parses it.
        where: names it in messages.
        path: the file its values go to; None keeps them in memory.
    """
    match column.kind:
        case "number":
            return _Numbers(path)
        case "time":
            return _Times(path)
        case "vector":
            return _Vectors(column.width or 1, path)
        case "categories":
            return _Lists(where, path)
        case "auto":
            return _Undeclared(where, path)
        case _:
            return WordsColumn(where, path)


class WordsColumn:
    """Ids, categories and types: codes of words."""

    def __init__(self, where: str, path: Path | None) -> None:
        self.words = Words(where)
        self._codes = GrowingArray(np.int32, path=path)

    def add(self, values: pa.Array, text: bool) -> None:
        self._codes.add(self.words.add(values, text))

    def skip(self, rows: int) -> None:
        self._codes.add(np.full(rows, -1, np.int32))

    def codes(self) -> np.ndarray:
        """(N,) int32 codes of all values."""
        return self._codes.finish()

    def finish(self) -> Coded:
        return Coded(self.codes(), self.words.finish())


class _Numbers:
    """Numbers, NaN where there is none."""

    def __init__(self, path: Path | None) -> None:
        self._values = GrowingArray(np.float64, path=path)

    def add(self, values: pa.Array, text: bool) -> None:
        self._values.add(pc.fill_null(values.cast(pa.float64()), np.nan).to_numpy(zero_copy_only=False))

    def skip(self, rows: int) -> None:
        self._values.add(np.full(rows, np.nan))

    def finish(self) -> np.ndarray:
        return self._values.finish()


class _Times:
    """Seconds, NaN where there is none; those that are all whole become integers."""

    def __init__(self, path: Path | None) -> None:
        self._values = GrowingArray(np.float64, path=path)
        self._fine: list[tuple[int, np.ndarray]] = []

    def add(self, values: pa.Array, text: bool) -> None:
        if pa.types.is_timestamp(values.type):
            there = flags(values.is_valid())
            ticks = pc.fill_null(values.cast(pa.int64()), 0).to_numpy()
            self._fine.append((self._values.rows, ticks))
            self._values.add(np.where(there, seconds_of(ticks, PER_SECOND), np.nan))
        else:
            self._values.add(pc.fill_null(values, np.nan).to_numpy(zero_copy_only=False))

    def skip(self, rows: int) -> None:
        self._values.add(np.full(rows, np.nan))

    def finish(self) -> np.ndarray:
        values = self._values.finish()
        if self._fine:
            return seconds_in_order(values, self._fine)
        return values.astype(np.int64) if bool((values == np.floor(values)).all()) else values


class _Vectors:
    """Vectors, NaN where there is none."""

    def __init__(self, width: int, path: Path | None) -> None:
        self._values = GrowingArray(np.float32, width, path)

    def add(self, values: pa.Array, text: bool) -> None:
        width = self._values.width
        vectors = np.full((len(values), width), np.nan, np.float32)
        there = pc.equal(pc.list_value_length(values), width).fill_null(False)  # an empty one is missing
        flat = values.filter(there).flatten().to_numpy(zero_copy_only=False)
        vectors[there.to_numpy(zero_copy_only=False)] = flat.reshape(-1, width)
        self._values.add(vectors)

    def skip(self, rows: int) -> None:
        self._values.add(np.full((rows, self._values.width), np.nan, np.float32))

    def finish(self) -> np.ndarray:
        return self._values.finish()


class _Lists:
    """Lists of words; a missing one is empty."""

    def __init__(self, where: str, path: Path | None) -> None:
        self._words = WordsColumn(where, path)
        self._lengths: list[np.ndarray] = []

    def add(self, values: pa.Array, text: bool) -> None:
        flat = values.flatten()
        there = offsets_of(flat.is_valid().to_numpy(zero_copy_only=False))
        lengths = pc.list_value_length(values).fill_null(0).to_numpy(zero_copy_only=False)
        self._lengths.append(np.diff(there[offsets_of(lengths)]).astype(np.int32))
        self._words.add(flat.drop_null(), text)

    def skip(self, rows: int) -> None:
        self._lengths.append(np.zeros(rows, np.int32))

    def finish(self) -> CodedLists:
        lengths = np.concatenate([*self._lengths, np.zeros(0, np.int32)])
        return CodedLists(self._words.finish(), offsets_of(lengths))


class _Undeclared:
    """What the values are tells what they become: floats numbers, lists of them vectors, lists lists, all
    else words.

    Words of text files of which each writes a number, and some with a point or an exponent, become numbers
    too; those that are digits alone, such as 02139, stay words.
    """

    def __init__(self, where: str, path: Path | None) -> None:
        self._where, self._path = where, path
        self._skipped, self._text = 0, True
        self._own: Accumulator | None = None
        self._found: tuple[str, int | None]

    def add(self, values: pa.Array, text: bool) -> None:
        if pa.types.is_null(values.type):
            return self.skip(len(values))
        found = _kind(values, self._where)
        if found == ("vector", None):  # no list is there
            return self.skip(len(values))
        if self._own is None:
            self._own, self._found = self._like(*found), found
            self._own.skip(self._skipped)
        elif self._found != found:
            raise InputError(
                f"{self._where} holds values of type {values.type} beside others; declare its kind: "
                "category, categories, number or vector"
            )
        self._text &= text
        self._own.add(values, text)

    def skip(self, rows: int) -> None:
        if self._own is None:
            self._skipped += rows
        else:
            self._own.skip(rows)

    def finish(self) -> Column:
        if self._own is None:
            return Coded(np.full(self._skipped, -1, np.int32), pd.Index([], dtype="str"))
        column = self._own.finish()
        if isinstance(column, Coded) and self._text and not pd.api.types.is_integer_dtype(column.words.dtype):
            numbers = _numbers(column.words)
            if numbers is not None:
                return np.append(numbers, np.nan)[column.codes]
        return column

    def _like(self, kind: str, width: int | None) -> Accumulator:
        if width is not None:
            return _Vectors(width, self._path)
        if kind == "number":
            return _Numbers(self._path)
        if kind == "list":
            return _Lists(self._where, self._path)
        return WordsColumn(self._where, self._path)


def _numbers(words: pd.Index) -> np.ndarray | None:
    """The finite numbers that all words of a text file write, if some are written as no integer is."""
    numbers, bad = numbers_of(pa.array(words, pa.string()))
    found = numbers.to_numpy(zero_copy_only=False)
    if bad.any() or not np.isfinite(found).all() or not words.str.contains(r"[.eE]").any():
        return None
    padded = words.str.contains(r"^[+-]?0\d").any()
    return None if padded else found


def _kind(values: pa.Array, where: str) -> tuple[str, int | None]:
    """What undeclared values are, and the width of vectors."""
    kind = values.type
    if pa.types.is_list(kind) and pa.types.is_floating(kind.value_type):
        widths = [width for width in pc.unique(pc.list_value_length(values).drop_null()).to_pylist() if width]
        if len(widths) > 1:
            raise InputError(
                f"{where} holds lists of {widths[0]} and of {widths[1]} numbers; declare the width of the "
                "vector, and rows of other lengths are set aside"
            )
        return "vector", widths[0] if widths else None
    if pa.types.is_list(kind):
        return "list", None
    return "number" if pa.types.is_floating(kind) else "word", None
