"""Vocabulary: id <-> row of an embedding table."""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from re import fullmatch
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandas.api.types import infer_dtype, is_any_real_numeric_dtype, is_float_dtype, is_integer_dtype

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.as_written import shown
from torchrec_ext.errors import InputError

_INTEGER = r"0|-?[1-9][0-9]{0,18}"  # as Python writes it, of at most 64 bits and a little
Ids: TypeAlias = Iterable | pd.Series | pd.Index | np.ndarray | pa.Array | pa.ChunkedArray


class Vocabulary:
    """The ids of one table in the order of their rows; row 0 stands for every unknown id.

    Args:
        ids: distinct integers or strings, of pandas, NumPy or Arrow; ``ids[i]`` has row ``i + 1``.

    Raises:
        InputError: if an id stands twice, or integers and strings are mixed.

    Example:
        >>> words = Vocabulary.fit(["b", "a", "b"])
        >>> words.rows(["a", "b", "z"])
        array([2, 1, 0])
        >>> words.grow(pa.array(["z", "a"])).rows(["a", "b", "z"])
        array([2, 1, 3])
        >>> words.in_kind(7), Vocabulary([3]).in_kind("7"), Vocabulary([3]).in_kind("07")
        ('7', 7, '07')
    """

    def __init__(self, ids: Ids) -> None:
        index = pd.Index(_without_arrow(ids))
        if isinstance(index, pd.CategoricalIndex):
            index = index.astype(index.categories.dtype)
        if index.dtype == object:
            index = index.infer_objects()
        if is_float_dtype(index.dtype) and not (whole := _are_whole(index)).all():
            raise InputError(
                f"ids must be integers or strings, received the float {index[int(whole.argmin())]}; missing "
                "values turn integers into floats: drop them and use astype('int64')"
            )
        if index.dtype == object and infer_dtype(index).startswith("mixed"):
            kinds = " and ".join(sorted({type(i).__name__ for i in index}))
            raise InputError(f"ids must be all integers or all strings, received {kinds}; use astype(str)")
        numeric = len(index) > 0 and is_any_real_numeric_dtype(index.dtype)
        self.index = index.astype(np.int64) if numeric else index
        if not self.index.is_unique:
            twice = self.index[self.index.duplicated()][0]
            raise InputError(f"ids of a vocabulary must be distinct; {shown(twice)} stands twice")

    @classmethod
    def fit(cls, ids: Ids, *, min_count: int = 1) -> "Vocabulary":
        """The distinct ids in order of first appearance, without missing values.

        An id that stands fewer than ``min_count`` times gets no row of its own.
        """
        expect_at_least(1, min_count=min_count)
        codes, distinct = pd.factorize(_index(ids).dropna())
        if min_count > 1:
            distinct = distinct[np.bincount(codes, minlength=len(distinct)) >= min_count]
        return cls(distinct)

    def __len__(self) -> int:
        """Number of rows, the unknown one included."""
        return len(self.index) + 1

    @property
    def integers(self) -> bool:
        """Whether the ids are integers rather than strings."""
        return is_integer_dtype(self.index.dtype)

    def rows(self, ids: Ids) -> np.ndarray:
        """(n,) int64 rows of n ids, 0 for an unknown id or a missing value.

        Strings find the integers they spell and the other way round, as on a command line; not "07" for 7.
        """
        wanted = _index(ids)
        if is_float_dtype(wanted.dtype):  # missing values made floats of integers
            whole = _are_whole(wanted)
            wanted = _integers(wanted.where(whole, 0), whole)
        if self.integers != is_integer_dtype(wanted.dtype):
            wanted = _spelt(wanted) if self.integers else wanted.astype(str)
        return self.index.get_indexer(wanted).astype(np.int64) + 1

    def in_kind(self, id: str | int) -> str | int:
        """An id as an integer where those of the vocabulary are, or as a string; it need not be known.

        A string that does not spell an integer of 64 bits stays one.
        """
        if len(self) == 1 or self.integers == isinstance(id, int):
            return id
        if isinstance(id, int):
            return str(id)
        return int(id) if fullmatch(_INTEGER, id) and -(2**63) <= int(id) < 2**63 else id

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The ids of (n,) rows as they were given, (n,) int64 or objects; InputError for row 0, of none."""
        rows = np.asarray(rows)
        if (rows < 1).any():
            raise InputError(f"row {rows.min()} has no id; rows of ids run from 1 to {len(self.index)}")
        return self._values[rows - 1]

    def grow(self, ids: Ids) -> "Vocabulary":
        """A vocabulary with the new ids of later events behind the old ones: no row moves.

        An InputError if the new ids are integers and the old ones strings, or the other way round.
        """
        new = Vocabulary.fit(ids)
        if len(self) == 1 or len(new) == 1:
            return new if len(self) == 1 else self
        if self.integers != new.integers:
            raise InputError(
                f"ids to add must be of the vocabulary's kind, such as {shown(self._values[0])}; "
                f"received {shown(new._values[0])}"
            )
        return Vocabulary(self.index.append(new.index[~new.index.isin(self.index)]))

    def save(self, path: Path) -> None:
        """Writes a Parquet file of one column ``id``, in row order."""
        pq.write_table(pa.table({"id": pa.array(self._values)}), path)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what :meth:`save` wrote."""
        return cls(pq.read_table(path).column("id"))

    @cached_property
    def _values(self) -> np.ndarray:
        return self.index.to_numpy(np.int64 if self.integers else object)


def _without_arrow(ids: Ids) -> Ids:
    return ids.to_pandas(integer_object_nulls=True) if isinstance(ids, pa.Array | pa.ChunkedArray) else ids


def _index(ids: Ids) -> pd.Index:
    """Ids as an index, integers beside missing ones as ``Int64``: pandas makes floats of them, of 53 bits."""
    ids = _without_arrow(ids)
    if hasattr(ids, "dtype") and ids.dtype != object:
        return pd.Index(ids)
    objects = pd.Index(list(ids), dtype=object)
    integers = objects.hasnans and infer_dtype(objects, skipna=True) == "integer"
    return objects.astype("Int64") if integers else objects.infer_objects()


def _are_whole(floats: pd.Index) -> np.ndarray:
    """(n,) bool, which floats stand for one integer alone."""
    numbers = floats.to_numpy(np.float64, na_value=np.nan)
    return (np.floor(numbers) == numbers) & (np.abs(numbers) < 2.0**53)


def _integers(values: pd.Index | pd.Series, there: np.ndarray) -> pd.Index:
    return pd.Index(pd.arrays.IntegerArray(values.to_numpy().astype(np.int64), ~there))


def _spelt(wanted: pd.Index) -> pd.Index:
    """The integers that strings spell."""
    words = pd.Series(wanted).astype(str)
    spelt = words.str.fullmatch(_INTEGER, na=False).to_numpy(bool)
    there = spelt & (words.where(spelt, "0").astype(np.float64).abs() < 2.0**63).to_numpy()
    return _integers(words.where(there, "0"), there)  # never through floats: ids may have 19 digits
