"""Ragged: the item rows of each of several requests, in one flat array."""

from typing import NamedTuple

import numpy as np

from torchrec_ext.data.slices import offsets_of, slice_positions


class Ragged(NamedTuple):
    """n lists of item rows.

    Args:
        values: (sum,) int64, one list after the other.
        offsets: (n + 1,) int64 where each list begins; the last one is the number of values.

    Example:
        >>> lists = Ragged.of_owners(np.array([2, 0, 2]), np.array([7, 8, 9]), 3)
        >>> lists.values, lists.owners, lists.take(np.array([2, 1])).values
        (array([8, 7, 9]), array([0, 2, 2]), array([7, 9]))
    """

    values: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of_owners(cls, owners: np.ndarray, values: np.ndarray, count: int) -> "Ragged":
        """The (m,) values of ``count`` owners; those of one keep their order."""
        return cls(
            values[np.argsort(owners, kind="stable")], offsets_of(np.bincount(owners, minlength=count))
        )

    @property
    def owners(self) -> np.ndarray:
        """(sum,) int64 number of the list that each value is in."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, rows: np.ndarray) -> "Ragged":
        """The (m,) lists of these numbers."""
        starts, ends = self.offsets[rows], self.offsets[rows + 1]
        return Ragged(self.values[slice_positions(starts, ends)], offsets_of(ends - starts))
