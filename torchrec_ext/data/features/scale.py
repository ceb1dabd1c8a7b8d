"""Scale: how numbers become a model's numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.features.plain import FINITE, FINITES, one_of, plain, read
from torchrec_ext.errors import InputError

SCALES = ("standard", "min_max", "robust", "log1p", "quantile", "none")

MOST_QUANTILES = 1000

_FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Scale:
    """A scale as it was fitted.

    Args:
        kind: one of :data:`SCALES`.
        center: what becomes 0.
        spread: the distance from there that becomes 1.
        quantiles: (q,) ascending numbers whose ranks are known, of ``quantile``.
        levels: (q,) their ranks between 0 and 1.

    Raises:
        InputError: if these do not make a scale.

    Example:
        >>> Scale("standard", center=3.0, spread=2.0).apply(np.array([1.0, 9.0]))
        array([-1.,  3.])
    """

    kind: str
    center: float = 0.0
    spread: float = 1.0
    quantiles: tuple[float, ...] = ()
    levels: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.spread > 0:
            raise InputError(f"spread of a scale should be above 0, received {self.spread}; fit it again")
        if (self.kind == "quantile") != bool(self.quantiles) or len(self.quantiles) != len(self.levels):
            raise InputError(
                f"a scale of kind {self.kind!r} has {len(self.quantiles)} quantiles and {len(self.levels)} "
                "levels; 'quantile' alone needs as many of both, at least one; fit it again"
            )
        levels = np.array((0.0, *self.levels, 1.0))
        if (np.diff(self.quantiles) <= 0).any() or (np.diff(levels) < 0).any():
            raise InputError("quantiles of a scale should ascend, and their levels from 0 to 1; fit it again")

    def apply(self, numbers: np.ndarray) -> np.ndarray:
        """The numbers on this scale.

        Args:
            numbers: (n,) float64, none of them NaN.

        Returns:
            (n,) float64, none of them beyond the range of float32.
        """
        if self.kind == "quantile":
            return np.clip(np.interp(numbers, self.quantiles, self.levels), 0.0, 1.0)
        if self.kind == "log1p":
            numbers = signed_log1p(numbers)
        with np.errstate(over="ignore"):
            return np.clip((numbers - self.center) / self.spread, -_FLOAT32, _FLOAT32)

    def to_json(self) -> dict[str, Any]:
        """Plain values that :meth:`from_json` reads."""
        return plain(self)

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "Scale":
        """Reads what :meth:`to_json` made; raises InputError if it is not that."""
        expected = {
            "kind": one_of(SCALES),
            "center": FINITE,
            "spread": FINITE,
            "quantiles": FINITES,
            "levels": FINITES,
        }
        return cls(**read("a scale", found, expected))


def fit_scale(numbers: np.ndarray, kind: str) -> Scale:
    """The scale of these numbers.

    Numbers that do not differ, or no numbers at all, have a spread of 1.

    Args:
        numbers: (n,) float64, those that are there.
        kind: ``standard``: mean 0, deviation 1; ``min_max``: the least is 0, the greatest 1, and what lies
            outside of them goes beyond; ``robust``: median 0, and the distance between the quartiles 1
            (where that is 0, the deviation); ``log1p``: sign times log(1 + size), then as ``standard``;
            ``quantile``: the rank from 0 to 1, equal numbers having their mean rank, by linear
            interpolation between at most 1000 quantiles; ``none``: as they are.

    Example:
        >>> fit_scale(np.array([1.0, 5.0]), "min_max")
        Scale(kind='min_max', center=1.0, spread=4.0, quantiles=(), levels=())
        >>> fit_scale(np.array([5.0, 5.0, 7.0]), "quantile")
        Scale(kind='quantile', center=0.0, spread=1.0, quantiles=(5.0, 7.0), levels=(0.25, 1.0))
    """
    if kind == "quantile":
        return _fit_quantiles(numbers)
    if kind == "none" or not len(numbers):
        return Scale(kind)
    if kind == "log1p":
        numbers = signed_log1p(numbers)
    if kind == "min_max":
        least, greatest = float(numbers.min()), float(numbers.max())
        return Scale(kind, least, greatest - least or 1.0)
    if kind == "robust":
        lower, median, upper = (float(q) for q in np.quantile(numbers, (0.25, 0.5, 0.75)))
        return Scale(kind, median, max(upper - lower, 0.0) or deviation(numbers))
    return Scale(kind, float(numbers.mean()), deviation(numbers))


def deviation(numbers: np.ndarray) -> float:
    """Standard deviation of (n,) numbers; 1 where they do not differ.

    Example:
        >>> deviation(np.array([1.0, 5.0])), deviation(np.array([0.1, 0.1, 0.1]))
        (2.0, 1.0)
    """
    found = float(numbers.std())
    same = found <= 1e-9 * np.abs(numbers).max()  # what is left of equal numbers by rounding
    return 1.0 if same else found


def signed_log1p(numbers: np.ndarray) -> np.ndarray:
    """Sign times log(1 + size), which zero and negative numbers have too.

    Example:
        >>> signed_log1p(np.array([-1.0, 0.0, 1.0])).round(3)
        array([-0.693,  0.   ,  0.693])
    """
    return np.sign(numbers) * np.log1p(np.abs(numbers))


def _fit_quantiles(numbers: np.ndarray) -> Scale:
    if not len(numbers) or numbers.min() == numbers.max():
        only = float(numbers[0]) if len(numbers) else 0.0
        return Scale("quantile", quantiles=(only,), levels=(0.5,))
    levels = np.linspace(0, 1, min(len(numbers), MOST_QUANTILES))
    distinct, place = np.unique(np.quantile(numbers, levels), return_inverse=True)
    ranks = np.bincount(place, levels) / np.bincount(place)
    return Scale("quantile", quantiles=tuple(distinct.tolist()), levels=tuple(ranks.tolist()))
