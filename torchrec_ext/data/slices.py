"""Many slices of a flat column at once."""

import numpy as np


def slice_positions(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Positions of the slices [start, end), one after the other.

    Args:
        starts: (n,) int64.
        ends: (n,) int64, none below its start.

    Returns:
        (sum of lengths,) int64.

    Example:
        >>> slice_positions(np.array([5, 0]), np.array([7, 3]))
        array([5, 6, 0, 1, 2])
    """
    lengths = ends - starts
    before = np.cumsum(lengths) - lengths
    return np.repeat(starts - before, lengths) + np.arange(lengths.sum(), dtype=np.int64)


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Where slices of these lengths begin, laid one after the other, and where the last one ends.

    Args:
        lengths: (n,) int.

    Returns:
        (n + 1,) int64.

    Example:
        >>> offsets_of(np.array([2, 0, 3]))
        array([0, 2, 2, 5])
    """
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
