"""Parts of a time: hour of the day, day of the week, month of the year."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.features.missing import Values
from torchrec_ext.data.features.plain import FLAG, one_of, read
from torchrec_ext.data.features.seconds import as_seconds

PARTS = {"hour": 24, "weekday": 7, "month": 12}
"""How many of each there are. Weekdays begin with Monday."""

_DAY = 86_400


@dataclass(frozen=True)
class FittedPart:
    """One part of a time in UTC, as rows of a table or as a point on a circle; it learns nothing.

    Args:
        part: one of :data:`PARTS`.
        cyclic: whether it becomes sine and cosine, 0 and 0 for a missing time, instead of a row: 1 for the
            first hour, Monday or January, and 0 for a missing time.

    Example:
        >>> times = [0, 7 * 3600, None]  # 1970 began on a Thursday
        >>> FittedPart("hour").apply(times), FittedPart("weekday").apply(times)
        (array([1, 8, 0]), array([4, 4, 0]))
        >>> FittedPart("hour", cyclic=True).apply([6 * 3600]).round(3)
        array([[1., 0.]], dtype=float32)
    """

    part: str
    cyclic: bool = False

    @property
    def width(self) -> int:
        """How many numbers a value becomes; 0 if it becomes a row."""
        return 2 if self.cyclic else 0

    @property
    def rows(self) -> int:
        """How many rows the table has, row 0 included; 0 if a value becomes numbers."""
        return 0 if self.cyclic else PARTS[self.part] + 1

    def kept(self, values: Values) -> np.ndarray:
        """(n,) bool, which values may be trained on: all."""
        return np.ones(len(values), bool)

    def apply(self, values: Values) -> np.ndarray:
        """(n, 2) float32 sine and cosine, or (n,) int64 rows, of n unix seconds or dates.

        Raises:
            InputError: if they are neither.
        """
        seconds = as_seconds(values)
        missing = np.isnan(seconds)
        place = _place(self.part, np.floor(np.where(missing, 0, seconds)).astype(np.int64))
        if not self.cyclic:
            return np.where(missing, 0, place + 1)
        angles = place * (2 * np.pi / PARTS[self.part])
        circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
        return np.where(missing[:, None], 0, circle).astype(np.float32)

    def to_json(self) -> dict[str, Any]:
        """Plain values that ``from_json`` reads."""
        return {"kind": "time_part", "part": self.part, "cyclic": self.cyclic}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> "FittedPart":
        """Reads what :meth:`to_json` made but its kind; raises InputError if it is not that."""
        return cls(**read("a part of a time", found, {"part": one_of(PARTS), "cyclic": FLAG}))


def _place(part: str, seconds: np.ndarray) -> np.ndarray:
    """(n,) int64 places that count from 0."""
    if part == "hour":
        return seconds // 3600 % 24
    days = seconds // _DAY
    if part == "weekday":
        return (days + 3) % 7  # 1970 began on a Thursday
    return days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
