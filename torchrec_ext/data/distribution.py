"""Distribution: how numbers are spread, in quantiles and bins."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

PERCENTS = (0, 25, 50, 75, 90, 99, 100)
"""Of the quantiles; the first and the last are minimum and maximum."""

_FEW = 20  # as many distinct values at most have a bin each


@dataclass(frozen=True, eq=False)
class Distribution:
    """The quantiles of n numbers, and how many fall into each of B bins.

    Args:
        quantiles: (7,) float64, of the share of ``PERCENTS`` each.
        edges: (B + 1,) float64 ascending edges of the bins; the last bin holds its upper edge.
        counts: (B,) int64 numbers in each bin.
        below: numbers that are 0 or less, which bins of a logarithmic axis leave out.

    Example:
        >>> lengths = Distribution.of(np.array([1, 2, 2, 30]), "log", bins=4)
        >>> lengths.quantiles[:3], lengths.edges, lengths.counts
        (array([1.  , 1.75, 2.  ]), array([ 1.,  2.,  5., 13., 31.]), array([1, 2, 0, 1]))
    """

    quantiles: np.ndarray
    edges: np.ndarray
    counts: np.ndarray
    below: int = 0

    @classmethod
    def of(
        cls, values: np.ndarray, spacing: Literal["even", "log"] = "even", bins: int = 40
    ) -> "Distribution | None":
        """Of all numbers that are there; None if there is none.

        Args:
            values: (n,) numbers.
            spacing: of the bins. Evenly spaced ones make room for a bin a value where there are few values;
                logarithmic ones hold a whole number each where all numbers are whole.
            bins: number of bins, fewer where they would be narrower than whole numbers.
        """
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            values = values[np.isfinite(values)]
        if not len(values):
            return None
        quantiles = np.percentile(values, PERCENTS)
        if spacing == "even":
            edges, below = _even(values, quantiles[0], quantiles[-1], bins), 0
        else:
            positive = values > 0
            below = len(values) - int(positive.sum())
            values = values[positive] if below else values
            edges = _logarithmic(values, bins)
        return cls(quantiles, edges, np.histogram(values, edges)[0], below)

    @property
    def total(self) -> int:
        """How many numbers there are."""
        return int(self.counts.sum()) + self.below


def _even(values: np.ndarray, low: float, high: float, bins: int) -> np.ndarray:
    distinct = pd.unique(values)
    if 1 < len(distinct) <= _FEW:
        distinct = np.sort(distinct).astype(np.float64)
        middles = (distinct[1:] + distinct[:-1]) / 2
        return np.concatenate([[2 * low - middles[0]], middles, [2 * high - middles[-1]]])
    if low == high:
        return np.array([low - 0.5, high + 0.5])
    return np.linspace(low, high, bins + 1)


def _logarithmic(values: np.ndarray, bins: int) -> np.ndarray:
    if not len(values):
        return np.array([1.0, 10.0])
    low, high = float(values.min()), float(values.max())
    if values.dtype.kind in "iu":
        return np.unique(np.floor(np.geomspace(low, high + 1, bins + 1) * (1 + 1e-12)))
    return np.geomspace(low, high, bins + 1) if low < high else np.array([low * 0.9, low * 1.1])
