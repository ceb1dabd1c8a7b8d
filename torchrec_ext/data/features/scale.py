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
    """A scale of one of the kinds that ``Number`` declares: ``center`` becomes 0, the distance ``spread`` 1.

    That of ``quantile`` has (q,) ascending ``quantiles`` and their ranks from 0 to 1, the ``levels``.
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
        """The scale of (n,) float64; where they do not differ, or there are none, the spread is 1."""
        if kind == "quantile":
            return cls(kind, 0.0, 1.0, *_quantiles(numbers))
        if kind == "none" or not len(numbers):
            return cls(kind, 0.0, 1.0, (), ())
        if kind == "min_max":
            least = float(numbers.min())
            return cls(kind, least, float(numbers.max()) - least or 1.0, (), ())
        if kind == "log1p":
            numbers = signed_log1p(numbers)
        center, spread = float(numbers.mean()), float(numbers.std())
        if spread <= 1e-9 * np.abs(numbers).max():  # what is left of equal numbers by rounding
            spread = 1.0
        if kind == "robust":
            lower, center, upper = (float(q) for q in np.quantile(numbers, (0.25, 0.5, 0.75)))
            spread = max(upper - lower, 0.0) or spread
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


def _quantiles(numbers: np.ndarray) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numbers and their ranks."""
    if not len(numbers) or numbers.min() == numbers.max():
        return (float(numbers[0]) if len(numbers) else 0.0,), (0.5,)
    levels = np.linspace(0, 1, min(len(numbers), 1000))
    distinct, place = np.unique(np.quantile(numbers, levels), return_inverse=True)
    ranks = np.bincount(place, levels) / np.bincount(place)
    return tuple(distinct.tolist()), tuple(ranks.tolist())
