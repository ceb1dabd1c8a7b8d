"""Age: how long before now a time lies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.features.missing import Values
from torchrec_ext.data.features.plain import FINITE, TABLE, expect, read
from torchrec_ext.data.features.scale import Scale, fit_scale
from torchrec_ext.data.features.seconds import as_seconds, expect_seconds
from torchrec_ext.errors import InputError

Now = float | np.ndarray
"""Unix seconds: one for all values, or (n,) one for each."""

_DAY = 86_400


@dataclass(frozen=True)
class FittedAge:
    """log(1 + days) before now, with mean 0 and deviation 1 in training.

    Args:
        now: unix seconds that ages count back from.
        scale: of the logarithms.

    Example:
        >>> fitted = fit_age([0, None], now=86_400.0)
        >>> fitted.apply([0, None]), fitted.apply([0, None], now=3 * 86_400.0).round(3)
        (array([[0.],
               [0.]], dtype=float32), array([[0.693],
               [0.   ]], dtype=float32))
    """

    now: float
    scale: Scale

    width = 1
    """A value becomes one number."""
    rows = 0
    """A value becomes a number, not a row."""

    def kept(self, values: Values) -> np.ndarray:
        """(n,) bool, which values may be trained on: all."""
        return np.ones(len(values), bool)

    def apply(self, values: Values, now: Now | None = None) -> np.ndarray:
        """The ages on the scale.

        Args:
            values: n unix seconds or dates; what lies after now counts as now.
            now: what ages count back from; that of training if left out.

        Returns:
            (n, 1) float32; 0, the mean of training, for a missing time.

        Raises:
            InputError: if the values are neither numbers nor dates, or ``now`` is no time.
        """
        ages = _log_ages(as_seconds(values), self.now if now is None else now)
        scaled = self.scale.apply(np.where(np.isnan(ages), self.scale.center, ages))
        return scaled[:, None].astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads."""
        return {"kind": "age", "now": self.now, "scale": self.scale.to_json()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "FittedAge":
        """Reads what :meth:`to_json` made but its kind; raises InputError if it is not that."""
        kept = read("an age", found, {"now": FINITE, "scale": TABLE})
        return cls(float(kept["now"]), Scale.from_json(kept["scale"]))


def fit_age(values: Values, now: float | None = None) -> FittedAge:
    """Learns mean and deviation of the ages.

    Args:
        values: unix seconds or dates of the training part alone.
        now: unix seconds; the latest of the values if left out.

    Raises:
        InputError: if the values are neither numbers nor dates, or ``now`` is no time.
    """
    expect_seconds(values)
    seconds = as_seconds(values)
    seconds = seconds[~np.isnan(seconds)]
    if now is None:
        now = float(seconds.max()) if len(seconds) else 0.0
    expect("now", now, FINITE)
    return FittedAge(float(now), fit_scale(_log_ages(seconds, now), "standard"))


def _log_ages(seconds: np.ndarray, now: Now) -> np.ndarray:
    try:
        until = np.broadcast_to(np.asarray(now, np.float64), seconds.shape)
    except (TypeError, ValueError):
        raise InputError(
            f"now should be unix seconds, one for all or one for each of {len(seconds)}, received {now!r}"
        ) from None
    if not np.isfinite(until).all():
        raise InputError(f"now should be finite unix seconds, received {now!r}")
    return np.log1p(np.maximum(until - seconds, 0) / _DAY)
