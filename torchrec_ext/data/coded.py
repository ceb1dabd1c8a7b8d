"""Coded: a column of words or whole numbers, of which each distinct one is kept once."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.as_written import series_as_written
from torchrec_ext.data.columns import codes_of, from_codes, numbers_of, words_of
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.errors import InputError


@dataclass(frozen=True, eq=False)
class Coded:
    """N values as the places of their words.

    Args:
        codes: (N,) int32 place of each value among the words, -1 for a missing one; it may be mapped
            from a file.
        words: the distinct values, integers or strings; some may stand for no value.

    Example:
        >>> colours = Coded.of(pd.Series(["red", None, "blue", "red"]))
        >>> colours.codes, list(colours.words)
        (array([ 0, -1,  1,  0], dtype=int32), ['red', 'blue'])
        >>> colours.take(np.array([2, 2])).series().tolist()
        ['blue', 'blue']
    """

    codes: np.ndarray
    words: pd.Index

    @classmethod
    def of(cls, values: pd.Series) -> "Coded":
        """The values in order of first appearance."""
        codes, words = pd.factorize(values)
        return cls(codes.astype(np.int32), pd.Index(words))

    def __len__(self) -> int:
        """Number of values."""
        return len(self.codes)

    def take(self, rows: np.ndarray) -> "Coded":
        """The values of (n,) rows or of a (N,) mask; the words stay."""
        return Coded(self.codes[rows], self.words)

    def used(self) -> "Coded":
        """The same values without words that stand for none, words in order of first appearance."""
        if self._in_order():
            return self
        codes, places = pd.factorize(self.codes)  # int64 places, of which -1 may be one
        missing = np.flatnonzero(places < 0)
        if len(missing):  # its place among the others closes up
            gone = missing[0]
            codes = np.where(codes == gone, -1, codes - (codes > gone))
            places = np.delete(places, gone)
        return Coded(codes.astype(np.int32), self.words[places])

    def _in_order(self) -> bool:
        """Whether each word stands for a value and they are in order of first appearance."""
        steps = np.diff(np.maximum.accumulate(self.codes), prepend=np.int32(-1))
        return bool((steps <= 1).all()) and int(steps.sum(dtype=np.int64)) == len(self.words)

    def counts(self) -> np.ndarray:
        """(words,) int64 number of values of each word."""
        return np.bincount(self.codes[self.codes >= 0], minlength=len(self.words))

    def series(self) -> pd.Series:
        """The values themselves; integers beside missing values become pandas' ``Int64``."""
        if (self.codes >= 0).all():
            return pd.Series(self.words.to_numpy()[self.codes], dtype=self.words.dtype)
        whole = pd.api.types.is_integer_dtype(self.words.dtype)
        values = pd.Series(self.words, dtype="Int64" if whole else self.words.dtype)
        return values.reindex(self.codes).reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class CodedLists:
    """N lists of values.

    Args:
        values: all of them, one list after the other.
        offsets: (N + 1,) int64 where each list begins.

    Example:
        >>> words = CodedLists(Coded.of(pd.Series(["red", "blue", "red"])), np.array([0, 2, 2, 3]))
        >>> words.series().tolist()
        [['red', 'blue'], [], ['red']]
        >>> words.take(np.array([2])).series().tolist()
        [['red']]
    """

    values: Coded
    offsets: np.ndarray

    @classmethod
    def of(cls, lists: pd.Series) -> "CodedLists":
        """Lists of values, in the order of first appearance; a missing list is an empty one.

        Raises:
            InputError: if lists are mixed with something else, or values of several kinds with each other.
        """
        try:
            array = pa.array(lists, from_pandas=True)
            if pa.types.is_null(array.type):
                array = array.cast(pa.list_(pa.string()))
            flat = array.flatten()
        except (pa.ArrowInvalid, pa.ArrowTypeError, AttributeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"column {lists.name!r} should hold a list in each row: {reason}") from None
        ends = offsets_of(pc.list_value_length(array).fill_null(0).to_numpy(zero_copy_only=False))
        there = offsets_of(pc.is_valid(flat).to_numpy(zero_copy_only=False))
        return cls(Coded.of(flat.drop_null().to_pandas()), there[ends])

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.offsets) - 1

    def take(self, rows: np.ndarray) -> "CodedLists":
        """The lists of (n,) rows or of a (N,) mask."""
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        return CodedLists(self.values.take(slice_positions(starts, ends)), offsets_of(ends - starts))

    def series(self) -> pd.Series:
        """The lists themselves."""
        flat = self.values.series().tolist()
        bounds = self.offsets.tolist()
        return pd.Series([flat[a:b] for a, b in zip(bounds[:-1], bounds[1:], strict=True)], dtype=object)


Column: TypeAlias = np.ndarray | Coded | CodedLists
"""Numbers, (N,) or (N, width); values; or lists of values."""


def column_of(values: pd.Series) -> Column:
    """A column of a table: floats as numbers, arrays of floats as vectors, lists as lists, all else as words.

    Raises:
        InputError: as :meth:`CodedLists.of`.
    """
    if pd.api.types.is_float_dtype(values.dtype):
        return series_as_written(values)
    vectors = _vectors(values)
    if vectors is not None:
        return vectors
    return CodedLists.of(values) if holds_lists(values) else Coded.of(values)


def with_missing(column: Column) -> Column:
    """The column with a missing value behind it."""
    if isinstance(column, Coded):
        return Coded(np.append(column.codes, np.int32(-1)), column.words)
    if isinstance(column, CodedLists):
        return CodedLists(column.values, np.append(column.offsets, column.offsets[-1]))
    return np.concatenate([column, np.full((1, *column.shape[1:]), np.nan, column.dtype)])


def _vectors(values: pd.Series) -> np.ndarray | None:
    """(N, width) float32 of arrays of floats, NaN where one is missing; None for other values."""
    there = values.notna().to_numpy()
    first = values.iloc[int(np.argmax(there))] if there.any() else None
    if not isinstance(first, np.ndarray) or first.dtype.kind != "f":
        return None
    vectors = np.full((len(values), len(first)), np.nan, np.float32)
    vectors[there] = np.stack(values[there].to_list())
    return vectors


def holds_lists(values: pd.Series) -> bool:
    """Whether the first value that is there is a list."""
    there = values.dropna()
    return len(there) > 0 and isinstance(there.iloc[0], (list, tuple, np.ndarray))


def as_series(column: Column) -> pd.Series:
    """A column as pandas shows it; vectors as lists."""
    if isinstance(column, np.ndarray):
        return pd.Series(column if column.ndim == 1 else list(column))
    return column.series()


def take(column: Column, rows: np.ndarray) -> Column:
    """The rows of a column: (n,) numbers of rows, or a (N,) mask."""
    return column[rows] if isinstance(column, np.ndarray) else column.take(rows)


def from_arrow(column: pa.Array) -> Column:
    """An Arrow column as Coded, CodedLists or numbers."""
    if pa.types.is_dictionary(column.type):
        return Coded(codes_of(column), words_of(column))
    if pa.types.is_list(column.type):
        offsets = np.asarray(column.offsets).astype(np.int64)
        return CodedLists(Coded(codes_of(column.values), words_of(column.values)), offsets)
    return numbers_of(column)


def to_arrow(column: Column) -> pa.Array:
    """The reverse of :func:`from_arrow`."""
    if isinstance(column, Coded):
        return from_codes(column.codes, column.words)
    if isinstance(column, CodedLists):
        return pa.ListArray.from_arrays(pa.array(column.offsets.astype(np.int32)), to_arrow(column.values))
    if column.ndim == 2:
        missing = np.asarray(np.isnan(column).any(axis=1))
        flat = pa.array(np.where(missing[:, None], 0, column).ravel().astype(np.float32))
        vectors = pa.FixedSizeListArray.from_arrays(flat, column.shape[1])
        return vectors.take(pa.array(np.arange(len(column)), mask=missing)) if missing.any() else vectors
    return pa.array(column)
