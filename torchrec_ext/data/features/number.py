"""Number: a column of numbers, as numbers or as rows of a table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.features.buckets import Edges, bucket_rows, fit_edges
from torchrec_ext.data.features.missing import Values, as_numbers, fit_fill
from torchrec_ext.data.features.plain import (
    FINITE,
    FINITES,
    FLAG,
    TABLE,
    Expected,
    expect_options,
    is_finite,
    one_of,
    optional,
    plain,
    read,
    whole,
)  # fmt: skip
from torchrec_ext.data.features.scale import SCALES, Scale, fit_scale
from torchrec_ext.errors import InputError

MISSING = ("drop", "constant", "mean", "median", "most_frequent", "unknown")

_BUCKETS = ("quantile", "log")


@dataclass(frozen=True)
class Number:
    """What to make of a column of numbers.

    Args:
        missing: what stands in for a missing or infinite number before it is scaled: the ``mean``, the
            ``median`` or the ``most_frequent`` number (of several the smallest) of training, or a
            ``constant``; ``drop``: its row is left out of training, and where it cannot be left out the
            mean stands in; ``unknown``, of buckets alone: row 0.
        fill: what ``constant`` takes, in the unit of the column.
        indicator: whether one more number tells, by 1, that it was missing.
        scale: how the numbers are scaled; see :func:`~torchrec_ext.data.features.scale.fit_scale`.
        buckets: whether the column becomes rows of a table instead of a number, and by which edges:
            ``quantile``, ``log`` or ascending numbers; see
            :func:`~torchrec_ext.data.features.buckets.fit_edges`. Rows of buckets count from 1; row 0 is
            for a missing number where ``missing`` is ``unknown`` or ``drop``.
        bins: how many buckets ``quantile`` and ``log`` make at most.

    Raises:
        InputError: if an option is none of these, or has no effect beside the others.
    """

    missing: str = "mean"
    fill: float = 0.0
    indicator: bool = False
    scale: str = "standard"
    buckets: str | Edges | None = None
    bins: int = 10

    def __post_init__(self) -> None:
        expect_options(
            self,
            missing=one_of(MISSING),
            fill=FINITE,
            indicator=FLAG,
            scale=one_of(SCALES),
            buckets=optional(Expected("'quantile' or 'log' or ascending numbers", _are_buckets, _BUCKETS)),
            bins=whole(2),
        )
        if self.buckets is not None and not isinstance(self.buckets, str):
            object.__setattr__(self, "buckets", tuple(self.buckets))  # TOML and JSON hold lists
        if self.missing == "unknown" and self.buckets is None:
            raise InputError(
                "Number.missing='unknown' is a row of a table; set buckets too, or take 'mean' and indicator"
            )
        if self.fill != 0 and self.missing != "constant":
            raise InputError(
                f"Number.fill={self.fill} has no effect with missing={self.missing!r}; set missing='constant'"
            )
        if self.indicator and self.buckets is not None:
            raise InputError(
                "Number.indicator=True has no effect with buckets; set missing='unknown', which is a row"
            )
        if self.scale not in ("standard", "none") and self.buckets is not None:
            raise InputError(f"Number.scale={self.scale!r} has no effect with buckets; leave one of them out")
        if self.bins != 10 and not isinstance(self.buckets, str):
            raise InputError(f"Number.bins={self.bins} has no effect without buckets='quantile' or 'log'")


@dataclass(frozen=True)
class FittedNumber:
    """A column of numbers as it was fitted on the training part.

    Args:
        options: what was declared.
        fill: what stands in for a missing number; None if row 0 does.
        scale: of numbers; None of buckets.
        edges: of buckets; None of numbers.

    Example:
        >>> fitted = fit_number([1.0, None, 5.0], Number(indicator=True))
        >>> fitted.apply([9.0, None])
        array([[3., 0.],
               [0., 1.]], dtype=float32)
        >>> fit_number([1.0, None, 5.0], Number("unknown", buckets=(2,))).apply([0, 2, None])
        array([1, 2, 0])
    """

    options: Number
    fill: float | None
    scale: Scale | None
    edges: Edges | None

    def __post_init__(self) -> None:
        buckets = self.options.buckets is not None
        if buckets == (self.edges is None) or buckets == (self.scale is not None):
            raise InputError("a number has edges if it has buckets and a scale if not; fit it again")
        if (self.fill is None) != (buckets and self.options.missing in ("drop", "unknown")):
            raise InputError(
                f"fill={self.fill} of a number does not go with missing={self.options.missing!r}; fit again"
            )
        if self.edges is not None and (np.diff(self.edges) <= 0).any():
            raise InputError("edges of a number should ascend; fit it again")
        if self.scale is not None and self.scale.kind != self.options.scale:
            raise InputError(
                f"a number has the scale {self.scale.kind!r} but the options say {self.options.scale!r}; "
                "fit it again"
            )

    @property
    def width(self) -> int:
        """How many numbers a value becomes; 0 if it becomes a row."""
        return 0 if self.edges is not None else 1 + self.options.indicator

    @property
    def rows(self) -> int:
        """How many rows the table has, row 0 included; 0 if a value becomes numbers."""
        return 0 if self.edges is None else len(self.edges) + 2

    def kept(self, values: Values) -> np.ndarray:
        """(n,) bool, which values may be trained on: all but those that ``drop`` leaves out."""
        dropped = np.isnan(as_numbers(values)) & (self.options.missing == "drop")
        return ~dropped

    def apply(self, values: Values) -> np.ndarray:
        """(n, width) float32 numbers or (n,) int64 rows of n values.

        Raises:
            InputError: if the values are no numbers.
        """
        numbers = as_numbers(values)
        missing = np.isnan(numbers)
        if self.fill is not None:
            numbers = np.where(missing, self.fill, numbers)
        if self.scale is None:
            return bucket_rows(numbers, self.edges or ())
        columns = [self.scale.apply(numbers)] + [missing] * self.options.indicator
        return np.stack(columns, axis=1).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values that :func:`~torchrec_ext.data.features.fitted.from_json` reads."""
        return {
            "kind": "number",
            "options": plain(self.options),
            "fill": self.fill,
            "scale": self.scale and self.scale.to_json(),
            "edges": None if self.edges is None else list(self.edges),
        }

    @classmethod
    def from_json(cls, found: Mapping[str, Any], options: Number) -> "FittedNumber":
        """Reads what :meth:`to_json` made but its kind and options; raises InputError if it is not that."""
        expected = {"fill": optional(FINITE), "scale": optional(TABLE), "edges": optional(FINITES)}
        kept = read("a number", found, expected)
        scale = kept["scale"]
        return cls(options, kept["fill"], scale if scale is None else Scale.from_json(scale), kept["edges"])


def fit_number(values: Values, options: Number) -> FittedNumber:
    """Learns what stands in for missing numbers, and the scale or the edges, from those that are there.

    Args:
        values: numbers of the training part alone.
        options: what to make of them.

    Raises:
        InputError: if the values are no numbers.
    """
    numbers = as_numbers(values)
    there = numbers[~np.isnan(numbers)]
    if options.buckets is None:
        scale, edges = fit_scale(there, options.scale), None
    else:
        scale, edges = None, fit_edges(there, options.buckets, options.bins)
    if options.missing == "unknown" or (options.missing == "drop" and edges is not None):
        return FittedNumber(options, None, scale, edges)
    missing = "mean" if options.missing == "drop" else options.missing
    return FittedNumber(options, fit_fill(there, missing, options.fill), scale, edges)


def _are_buckets(value: object) -> bool:
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(map(is_finite, value)) and list(value) == sorted(value)
    return value in _BUCKETS
