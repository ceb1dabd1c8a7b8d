"""Buckets: numbers as rows of a table."""

import numpy as np

from torchrec_ext.data.features.scale import signed_log1p

Edges = tuple[float, ...]
"""(b - 1,) ascending numbers between b buckets; a number on an edge belongs to the bucket above it."""


def fit_edges(numbers: np.ndarray, buckets: str | Edges, bins: int) -> Edges:
    """The edges between the buckets, equal ones merged.

    Args:
        numbers: (n,) float64, those that are there.
        buckets: ``quantile``: as many numbers in each; ``log``: as wide each in sign times log(1 + size);
            or the edges themselves.
        bins: the most buckets that are made.

    Returns:
        Edges above the least number, so that even the lowest bucket has a number to learn from; none, and
        so one bucket, where the numbers do not differ. Edges that are given stay as they are.

    Example:
        >>> fit_edges(np.array([1.0, 2.0, 3.0, 4.0]), "quantile", 2)
        (2.5,)
        >>> fit_edges(np.array([-99.0, 0.0, 99.0]), "log", 4)
        (-9.0, 0.0, 9.0)
        >>> fit_edges(np.array([]), (0.0, 1.0, 1.0), 10)
        (0.0, 1.0)
    """
    if not isinstance(buckets, str):
        return tuple(np.unique(np.array(buckets, np.float64)).tolist())
    if not len(numbers):
        return ()
    inner = np.arange(1, bins) / bins
    if buckets == "quantile":
        edges = np.quantile(numbers, inner)
    else:
        least, greatest = signed_log1p(np.array([numbers.min(), numbers.max()]))
        places = least + (greatest - least) * inner
        edges = np.sign(places) * np.expm1(np.abs(places))
        # many digits come from the logarithm alone; twelve tell numbers apart and are easy to read
        edges = np.array([float(f"{edge:.12g}") for edge in edges])
    distinct = np.unique(edges)
    return tuple(distinct[distinct > numbers.min()].tolist())


def bucket_rows(numbers: np.ndarray, edges: Edges) -> np.ndarray:
    """The row of each number's bucket.

    Args:
        numbers: (n,) float64.
        edges: what :func:`fit_edges` found.

    Returns:
        (n,) int64 rows from 1 to ``len(edges) + 1``; 0 for NaN.

    Example:
        >>> bucket_rows(np.array([-5.0, 0.0, 0.5, 7.0, np.nan]), (0.0, 1.0))
        array([1, 2, 2, 3, 0])
    """
    rows = np.searchsorted(np.array(edges, np.float64), numbers, side="right") + 1
    return np.where(np.isnan(numbers), 0, rows).astype(np.int64)
