"""Lists: a column of which each row is a list of rows of a table, laid one after the other."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from torchrec_ext.data.slices import Slices, offsets_of


@dataclass(frozen=True, eq=False)
class Lists:
    """n lists of numbers.

    Args:
        values: (sum,) int, one list after the other; it may be mapped from a file.
        offsets: (n + 1,) int64 where each list begins.

    Example:
        >>> words = Lists(np.array([7, 8, 9]), np.array([0, 2, 2, 3]))
        >>> words.lengths, words[np.array([2, 0])].values
        (array([2, 0, 1]), array([9, 7, 8]))
    """

    values: np.ndarray
    offsets: np.ndarray

    def __len__(self) -> int:
        """Number of lists."""
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """(n,) int64 length of each list."""
        return np.diff(self.offsets)

    def __getitem__(self, rows: np.ndarray) -> "Lists":
        """The lists of (m,) int rows, as an array gives its values."""
        slices = Slices(self.offsets[rows], self.offsets[rows + 1])
        return Lists(slices.of(self.values), offsets_of(slices.lengths))


def lists_of(lists: pa.ListArray) -> Lists:
    """Lists of rows as they are, until the consumers read Arrow."""
    return Lists(np.asarray(lists.values), np.asarray(lists.offsets).astype(np.int64))
