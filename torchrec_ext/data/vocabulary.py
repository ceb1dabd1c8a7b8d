"""Vocabulary: id <-> row of an embedding table."""

from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.errors import InputError


class Vocabulary:
    """The ids of one table in the order of their rows; row 0 stands for every unknown id.

    Args:
        ids: distinct integers or strings; ``ids[i]`` has row ``i + 1``.

    Raises:
        InputError: if an id stands twice.

    Example:
        >>> words = Vocabulary.fit(["b", "a", "b"])
        >>> words.rows(["a", "b", "z"])
        array([2, 1, 0])
        >>> words.grow(["z", "a"]).rows(["a", "b", "z"])
        array([2, 1, 3])
        >>> Vocabulary.fit(["b", "a", "b"], min_count=2).rows(["a", "b"])
        array([0, 1])
    """

    def __init__(self, ids: Sequence | np.ndarray | pd.Index) -> None:
        self.index = pd.Index(ids)
        if not self.index.is_unique:
            twice = self.index[self.index.duplicated()][0]
            raise InputError(f"ids of a vocabulary must be distinct; {twice!r} stands twice")

    @classmethod
    def fit(cls, ids: Iterable | pd.Series, *, min_count: int = 1) -> "Vocabulary":
        """The distinct ids in order of first appearance.

        Args:
            ids: integers or strings, repeated as they come; missing values are passed over.
            min_count: an id that stands fewer times gets no row of its own.
        """
        series = pd.Series(ids if isinstance(ids, (pd.Series, np.ndarray)) else list(ids)).dropna()
        codes, distinct = pd.factorize(series)
        if min_count > 1:
            distinct = distinct[np.bincount(codes, minlength=len(distinct)) >= min_count]
        return cls(distinct)

    def __len__(self) -> int:
        """Number of rows, the unknown one included."""
        return len(self.index) + 1

    @property
    def integers(self) -> bool:
        """Whether the ids are integers rather than strings."""
        return pd.api.types.is_integer_dtype(self.index.dtype)

    def rows(self, ids: Iterable | pd.Series | np.ndarray) -> np.ndarray:
        """Rows of these ids.

        Args:
            ids: n ids. Strings that spell integers find integer ids and the other way round, since a
                command line knows strings alone.

        Returns:
            (n,) int64 rows, 0 for an unknown id.
        """
        wanted = ids if isinstance(ids, pd.Index) else pd.Index(ids if hasattr(ids, "dtype") else list(ids))
        if len(wanted) and self.integers != pd.api.types.is_integer_dtype(wanted.dtype):
            wanted = self._as_own_kind(wanted)
        return self.index.get_indexer(wanted).astype(np.int64) + 1

    def ids(self, rows: np.ndarray) -> np.ndarray:
        """The ids of (n,) rows, each at least 1, as they were given."""
        return self._values[np.asarray(rows) - 1]

    def grow(self, ids: Iterable) -> "Vocabulary":
        """A vocabulary with the new ids behind the old ones: no row moves."""
        new = Vocabulary.fit(ids).index
        return Vocabulary(self.index.append(new[~new.isin(self.index)]))

    def save(self, path: Path) -> None:
        """Writes a Parquet file of one column ``id``, in row order."""
        pq.write_table(pa.table({"id": pa.array(self._values)}), path)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Reads what :meth:`save` wrote."""
        return cls(pq.read_table(path).column("id").to_pandas())

    @cached_property
    def _values(self) -> np.ndarray:
        return self.index.to_numpy() if self.integers else self.index.to_numpy(dtype=object)

    def _as_own_kind(self, wanted: pd.Index) -> pd.Index:
        if not self.integers:
            return wanted.astype(str)
        numbers = pd.to_numeric(pd.Series(wanted), errors="coerce")
        return pd.Index(numbers.where(numbers % 1 == 0, np.nan)).astype("float64")
