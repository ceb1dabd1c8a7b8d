"""Number: a column of numbers, as numbers or as rows of a table."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from torchrec_ext.data.checked import checked
from torchrec_ext.data.features.scale import Scale, Scaling, signed_log1p
from torchrec_ext.data.features.values import LIST_IS_TUPLE, Values, as_numbers
from torchrec_ext.errors import InputError

Edges = tuple[float, ...]
"""(b - 1,) ascending numbers between b buckets; a number on an edge belongs to the bucket above it."""


@checked
class Number:
    """What to make of a column of numbers; InputError for options that are wrong or have no effect.

    Args:
        missing: what stands in for a missing or infinite number before it is scaled: the ``mean``, the
            ``median`` or the ``most_frequent`` number (of several the smallest) of training, or a
            ``constant``; ``drop``: its row is left out of training, and where it cannot be left out the
            mean stands in; ``unknown``, of buckets alone: row 0.
        fill: what ``constant`` takes, in the unit of the column.
        indicator: whether one more number tells, by 1, that it was missing.
        scale: ``standard``: mean 0, deviation 1; ``min_max``: least 0, greatest 1, others beyond; ``robust``:
            median 0, and the distance between the quartiles 1 (where that is 0, the deviation); ``log1p``:
            sign times log(1 + size), then as ``standard``; ``quantile``: the rank from 0 to 1, equal numbers
            having their mean rank, linear between at most 1000 quantiles; ``none``: as they are.
        buckets: whether the column becomes rows of a table instead of a number, and by which edges:
            ``quantile``: as many numbers in each; ``log``: as wide each in sign times log(1 + size); or
            ascending numbers. Rows of buckets count from 1; a missing number may have row 0.
        bins: how many buckets ``quantile`` and ``log`` make at most.
    """

    missing: Literal["drop", "constant", "mean", "median", "most_frequent", "unknown"] = "mean"
    fill: float = 0.0
    indicator: bool = False
    scale: Scaling = "standard"
    buckets: Annotated[Literal["quantile", "log"] | Edges | None, LIST_IS_TUPLE] = None
    bins: Annotated[int, Field(ge=2)] = 10

    def __post_init__(self) -> None:
        buckets = self.buckets is not None
        edges = self.buckets if isinstance(self.buckets, tuple) else (0.0,)
        for wrong, what in (
            (not edges or list(edges) != sorted(edges), "buckets should be ascending numbers"),
            (self.missing == "unknown" and not buckets, "missing='unknown' needs buckets"),
            (self.fill != 0 and self.missing != "constant", "fill needs missing='constant'"),
            (self.indicator and buckets, "indicator is for numbers without buckets"),
            (self.scale not in ("standard", "none") and buckets, "scale is for numbers without buckets"),
            (self.bins != 10 and not isinstance(self.buckets, str), "bins needs buckets='quantile' or 'log'"),
        ):
            if wrong:
                raise InputError(f"Number.{what}, received {self}")

    def fit(self, values: Values) -> "FittedNumber":
        """Learns fill and scale or edges from the training part; InputError if the values are not numbers."""
        numbers = as_numbers(values)
        there = numbers[~np.isnan(numbers)]
        fill = None if self._has_row_0 else _fill(there, self)
        if self.buckets is None:
            return FittedNumber(self, fill, Scale.fit(there, self.scale), None)
        return FittedNumber(self, fill, None, _edges(there, self.buckets, self.bins))

    @property
    def _has_row_0(self) -> bool:
        """Whether missing numbers have row 0."""
        return self.buckets is not None and self.missing in ("unknown", "drop")


@checked
class FittedNumber:
    """A column of numbers as it was fitted on the training part: with a scale, or with edges of buckets.

    ``fill`` stands in for a missing number; None if row 0 does.
    """

    options: Number
    fill: float | None
    scale: Scale | None
    edges: Edges | None

    def __post_init__(self) -> None:
        buckets = self.options.buckets is not None
        if (
            buckets == (self.edges is None)
            or buckets == (self.scale is not None)
            or (self.fill is None) != self.options._has_row_0
            or (self.scale is not None and self.scale.kind != self.options.scale)
            or (np.diff(self.edges or ()) <= 0).any()
        ):
            raise InputError(f"fill, scale and edges do not go with {self.options}; fit and save it again")

    @property
    def width(self) -> int:
        return 0 if self.edges is not None else 1 + self.options.indicator

    @property
    def rows(self) -> int:
        return 0 if self.edges is None else len(self.edges) + 2

    def transform(self, values: Values) -> np.ndarray:
        """(N, width) float32 numbers or (N,) int64 rows; InputError if the values are not numbers."""
        numbers = as_numbers(values)
        missing = np.isnan(numbers)
        if self.fill is not None:
            numbers = np.where(missing, self.fill, numbers)
        if self.scale is None:
            rows = np.searchsorted(np.array(self.edges, np.float64), numbers, side="right") + 1
            return np.where(np.isnan(numbers), 0, rows).astype(np.int64)
        columns = [self.scale.transform(numbers)] + [missing] * self.options.indicator
        return np.stack(columns, axis=1).astype(np.float32)


def _fill(numbers: np.ndarray, options: Number) -> float:
    """What stands in for a missing number; 0 where there are no numbers to learn it from."""
    if options.missing == "constant":
        return float(options.fill)
    if not len(numbers):
        return 0.0
    if options.missing == "median":
        return float(np.median(numbers))
    if options.missing == "most_frequent":
        distinct, counts = np.unique(numbers, return_counts=True)
        return float(distinct[counts.argmax()])
    return float(numbers.mean())


def _edges(numbers: np.ndarray, buckets: str | Edges, bins: int) -> Edges:
    """Edges above the least number, so that each bucket has a number to learn from; none if all are equal."""
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
