"""Time: a column of times as several features: parts of the calendar, and the age."""

from typing import Annotated, Literal

import numpy as np
import pandas as pd

from torchrec_ext.data.checked import checked
from torchrec_ext.data.features.scale import Scale
from torchrec_ext.data.features.values import LIST_IS_TUPLE, Values, as_seconds
from torchrec_ext.errors import InputError

Part = Literal["hour", "weekday", "month"]
PARTS: dict[Part, int] = {"hour": 24, "weekday": 7, "month": 12}
"""How many of each there are. Weekdays begin with Monday."""

_DAY = 86_400


@checked
class Time:
    """What to make of a column of unix seconds or dates, in UTC; InputError for wrong options.

    A time becomes a feature for each part and one for its age, so one column gives several features.

    Args:
        parts: some of ``hour``, ``weekday`` and ``month``.
        cyclic: whether each part becomes sine and cosine instead of a row of a table.
        age: whether log(1 + days) before now is a feature too.
    """

    parts: Annotated[tuple[Part, ...], LIST_IS_TUPLE] = ("hour", "weekday")
    cyclic: bool = False
    age: bool = False

    def __post_init__(self) -> None:
        if len({*self.parts}) < len(self.parts):
            raise InputError(f"Time.parts should hold each part once, received {self.parts}")
        if not self.parts and (self.cyclic or not self.age):
            raise InputError("Time.parts is empty, so nothing is left or cyclic; set parts, or age alone")

    def fit(self, values: Values) -> dict[str, "FittedPart | FittedAge"]:
        """Features by the name of the part, and ``age``; InputError if values are not seconds or dates."""
        seconds = as_seconds(values, learning=True)
        found: dict[str, FittedPart | FittedAge] = {p: FittedPart(p, self.cyclic) for p in self.parts}
        if self.age:
            there = seconds[~np.isnan(seconds)]
            now = float(there.max()) if len(there) else 0.0
            found["age"] = FittedAge(now, Scale.fit(_log_ages(there, now), "standard"))
        return found


@checked
class FittedPart:
    """One part of a time in UTC; it learns nothing.

    The first hour, Monday and January have row 1 and a missing time row 0, or sine and cosine of 0.
    """

    part: Part
    cyclic: bool

    @property
    def width(self) -> int:
        return 2 if self.cyclic else 0

    @property
    def rows(self) -> int:
        return 0 if self.cyclic else PARTS[self.part] + 1

    def transform(self, values: Values) -> np.ndarray:
        """(N, 2) float32 sine and cosine, or (N,) int64 rows, of N unix seconds or dates."""
        seconds = as_seconds(values)
        missing = np.isnan(seconds)
        dates = pd.DatetimeIndex(np.floor(np.where(missing, 0, seconds)).astype("datetime64[s]"))
        counted = getattr(dates, "day_of_week" if self.part == "weekday" else self.part)
        place = counted.to_numpy(np.int64) - (self.part == "month")  # months are counted from 1
        if not self.cyclic:
            return np.where(missing, 0, place + 1)
        angles = place * (2 * np.pi / PARTS[self.part])
        circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        return np.where(missing[:, None], 0, circle).astype(np.float32)


@checked
class FittedAge:
    """log(1 + days) before ``now``, the latest of training, with mean 0 and deviation 1 in training."""

    now: float
    scale: Scale
    width = 1
    rows = 0

    def transform(self, values: Values) -> np.ndarray:
        """(N, 1) float32 ages of N unix seconds or dates; a missing one is 0, the mean of training."""
        ages = _log_ages(as_seconds(values), self.now)
        scaled = self.scale.transform(np.where(np.isnan(ages), self.scale.center, ages))
        return scaled[:, None].astype(np.float32)


def _log_ages(seconds: np.ndarray, now: float) -> np.ndarray:
    return np.log1p(np.maximum(now - seconds, 0) / _DAY)
