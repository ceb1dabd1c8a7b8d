"""Many slices or rows of a flat column at once."""

from functools import cached_property
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.lib.stride_tricks import sliding_window_view

FlatColumn: TypeAlias = np.ndarray | pa.LargeListArray
"""One value, one vector or one list of values a row."""


class Slices:
    """n slices [start, end) of flat columns, (n,) int starts and ends, read one after the other.

    Slices that are about as long as each other, as those of a batch of like examples are, are read as
    windows of the longest: rows of memory copied whole take a third of the time of one value after another.

    Example:
        >>> slices = Slices(np.array([5, 0]), np.array([7, 3]))
        >>> slices.of(np.array([10, 11, 12, 13, 14, 15, 16])), slices.lengths
        (array([15, 16, 10, 11, 12]), array([2, 3]))
    """

    def __init__(self, starts: np.ndarray, ends: np.ndarray) -> None:
        self.starts, self.ends = starts, ends
        self.lengths = ends - starts
        self.longest, self.last_start = int(self.lengths.max(initial=0)), int(starts.max(initial=0))
        values, room = int(self.lengths.sum()), len(starts) * self.longest
        self.alike = values == room
        self.as_windows = 2 * values >= room > 0  # below half, what is copied in vain outweighs it

    def of(self, column: np.ndarray) -> np.ndarray:
        """(sum of lengths,) values of a column, in a new array of its dtype."""
        # a window that is longer than its slice may pass the end of the column
        if self.as_windows and self.last_start + self.longest <= len(column):
            windows = sliding_window_view(column, self.longest)[self.starts]
            return windows.reshape(-1) if self.alike else windows[self._inside]
        return column[self._positions]

    @cached_property
    def _inside(self) -> np.ndarray:
        return np.arange(self.longest) < self.lengths[:, None]

    @cached_property
    def _positions(self) -> np.ndarray:
        return slice_positions(self.starts, self.ends)


def slice_positions(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """(sum of lengths,) int64 positions of the slices [start, end), one after the other."""
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum(), dtype=np.int64)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """(n + 1,) int64 bounds of n slices of these lengths that follow each other."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def flat_and_lengths(column: FlatColumn) -> tuple[np.ndarray, np.ndarray]:
    """Flat values of a column and (n,) int number of values of each row."""
    if isinstance(column, np.ndarray):
        return column, np.ones_like(column)
    return column.flatten().to_numpy(), np.diff(column.offsets.to_numpy())


def join_rows(first: FlatColumn, second: FlatColumn) -> FlatColumn:
    """The rows of two columns, one after the other; lists in the type of the first."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.concatenate([first, second])
    return pa.concat_arrays([first, second.cast(first.type)])


def take_rows(column: FlatColumn, rows: np.ndarray) -> FlatColumn:
    """The (n,) rows of a column, in their order."""
    return np.asarray(column)[rows] if isinstance(column, np.ndarray) else column.take(pa.array(rows))
