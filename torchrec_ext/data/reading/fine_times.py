"""Times finer than float64 seconds: distinct nanoseconds stay distinct, and in order."""

from collections.abc import Iterable

import numpy as np

PER_SECOND = 1_000_000_000


def seconds_of(ticks: np.ndarray, per_second: int) -> np.ndarray:
    """Integers as float64 seconds, each the nearest there is.

    Args:
        ticks: (n,) int64.
        per_second: how many ticks a second has.

    Example:
        >>> seconds_of(np.array([1_600_000_000_500_000_001]), PER_SECOND)
        array([1.6e+09])
    """
    return ticks // per_second + (ticks % per_second) / per_second


def seconds_in_order(seconds: np.ndarray, fine: Iterable[tuple[int, np.ndarray]]) -> np.ndarray:
    """Seconds of which those that share a float64 but differ in nanoseconds are moved apart.

    A float64 of today's seconds holds steps of 238 ns. Times that fall on one step are moved to the next
    free ones in the order of their nanoseconds, so that sorting by seconds sorts by nanoseconds, and equal
    times stay equal.

    Args:
        seconds: (N,) float64, NaN for a missing time.
        fine: row of the first and (n,) int64 nanoseconds of consecutive times that are known as such; of
            missing ones any.

    Returns:
        (N,) float64.

    Example:
        >>> ticks = 1_600_000_000 * PER_SECOND + np.array([2, 0, 1, 1])
        >>> moved = seconds_in_order(seconds_of(ticks, PER_SECOND), [(0, ticks)])
        >>> np.argsort(moved, kind="stable"), bool(moved[2] == moved[3])
        (array([1, 2, 3, 0]), True)
    """
    there = ~np.isnan(seconds)
    known = np.where(there, seconds, 0.0)
    whole = np.floor(known)
    # a float that is a whole number of microseconds was written as such
    microseconds = np.rint((known - whole) * 1e6)
    exact = whole + microseconds / 1e6 == known
    rest = np.where(exact, microseconds * 1e3, (known - whole) * 1e9)
    for first, ticks in fine:
        rows = slice(first, first + len(ticks))
        whole[rows], rest[rows] = np.divmod(ticks, PER_SECOND)
    whole, rest = whole[there], rest[there]
    order = np.lexsort((rest, whole))
    whole, rest = whole[order], rest[order]
    distinct = np.cumsum((whole[1:] != whole[:-1]) | (rest[1:] != rest[:-1]))
    steps = _steps(known[there][order])
    steps[1:] -= distinct  # now each must only be as large as the ones before it
    np.maximum.accumulate(steps, out=steps)
    steps[1:] += distinct
    moved = np.empty(len(order))
    moved[order] = _from_steps(steps)
    found = np.full(len(seconds), np.nan)
    found[there] = moved
    return found


def _steps(values: np.ndarray) -> np.ndarray:
    """(n,) int64 numbers of finite floats, in their order: that of the next float is one more."""
    bits = (values + 0.0).view(np.int64)  # -0.0 becomes 0.0
    return np.where(bits < 0, np.iinfo(np.int64).min - bits, bits)


def _from_steps(steps: np.ndarray) -> np.ndarray:
    return np.where(steps < 0, np.iinfo(np.int64).min - steps, steps).view(np.float64)
