"""Scale: how numbers become a model's numbers."""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from torchrec_ext.data.checked import checked
from torchrec_ext.errors import InputError

Scaling = Literal["standard", "min_max", "robust", "log1p", "quantile", "none"]

FLOAT32 = float(np.finfo(np.float32).max)


@checked
class Scale:
    """A scale as it was fitted.

    Args:
        kind: see :meth:`fit`.
        center: what becomes 0.
        spread: the distance from there that becomes 1.
        quantiles: (q,) ascending numbers whose ranks are known, of ``quantile``.
        levels: (q,) their ranks between 0 and 1.

    Raises:
        InputError: if these do not make a scale.

    Example:
        >>> scale = Scale.fit(np.array([1.0, 5.0]), "min_max")
        >>> scale, scale.transform(np.array([3.0, 9.0]))
        (Scale(kind='min_max', center=1.0, spread=4.0, quantiles=(), levels=()), array([0.5, 2. ]))
    """

    kind: Scaling
    center: float
    spread: Annotated[float, Field(gt=0)]
    quantiles: tuple[float, ...]
    levels: tuple[float, ...]

    def __post_init__(self) -> None:
        alike = len(self.quantiles) == len(self.levels) and bool(self.levels) == (self.kind == "quantile")
        ranks = np.diff((0.0, *self.levels, 1.0))
        if not alike or (np.diff(self.quantiles) <= 0).any() or (ranks < 0).any():
            raise InputError(
                f"a scale of kind {self.kind!r} has {len(self.quantiles)} quantiles and {len(self.levels)} "
                "levels; 'quantile' alone needs as many of both, ascending; fit it again"
            )

    @classmethod
    def fit(cls, numbers: np.ndarray, kind: Scaling) -> "Scale":
        """The scale of these numbers; where they do not differ, or there are none, the spread is 1.

        Args:
            numbers: (n,) float64, those that are there.
            kind: ``standard``: mean 0, deviation 1; ``min_max``: the least is 0, the greatest 1, and what
                lies outside of them goes beyond; ``robust``: median 0, and the distance between the quartiles
                1 (where that is 0, the deviation); ``log1p``: sign times log(1 + size), then as ``standard``;
                ``quantile``: the rank from 0 to 1, equal numbers having their mean rank, by linear
                interpolation between at most 1000 quantiles; ``none``: as they are.
        """
        if kind == "quantile":
            return cls(kind, 0.0, 1.0, *_quantiles(numbers))
        center, spread = (0.0, 1.0) if kind == "none" or not len(numbers) else _position(numbers, kind)
        return cls(kind, center, spread, (), ())

    def transform(self, numbers: np.ndarray) -> np.ndarray:
        """(n,) float64 on this scale, within the range of float32, of (n,) float64 without NaN."""
        if self.kind == "quantile":
            return np.clip(np.interp(numbers, self.quantiles, self.levels), 0.0, 1.0)
        if self.kind == "log1p":
            numbers = signed_log1p(numbers)
        with np.errstate(over="ignore"):
            return np.clip((numbers - self.center) / self.spread, -FLOAT32, FLOAT32)


def signed_log1p(numbers: np.ndarray) -> np.ndarray:
    """Sign times log(1 + size), which zero and negative numbers have too."""
    return np.sign(numbers) * np.log1p(np.abs(numbers))


def _position(numbers: np.ndarray, kind: Scaling) -> tuple[float, float]:
    """Center and spread."""
    if kind == "log1p":
        numbers = signed_log1p(numbers)
    if kind == "min_max":
        least, greatest = float(numbers.min()), float(numbers.max())
        return least, greatest - least or 1.0
    deviation = float(numbers.std())
    if deviation <= 1e-9 * np.abs(numbers).max():  # what is left of equal numbers by rounding
        deviation = 1.0
    if kind == "robust":
        lower, median, upper = (float(q) for q in np.quantile(numbers, (0.25, 0.5, 0.75)))
        return median, max(upper - lower, 0.0) or deviation
    return float(numbers.mean()), deviation


def _quantiles(numbers: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numbers and their ranks."""
    if not len(numbers) or numbers.min() == numbers.max():
        return (float(numbers[0]) if len(numbers) else 0.0,), (0.5,)
    levels = np.linspace(0, 1, min(len(numbers), 1000))
    distinct, place = np.unique(np.quantile(numbers, levels), return_inverse=True)
    ranks = np.bincount(place, levels) / np.bincount(place)
    return tuple(distinct.tolist()), tuple(ranks.tolist())
