"""Time: a column of times as several features."""

from dataclasses import dataclass

from torchrec_ext.data.features.age import FittedAge, fit_age
from torchrec_ext.data.features.missing import Values
from torchrec_ext.data.features.plain import FLAG, Expected, expect_options
from torchrec_ext.data.features.seconds import expect_seconds
from torchrec_ext.data.features.time_part import PARTS, FittedPart
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class Time:
    """What to make of a column of unix seconds or dates, in UTC.

    A time becomes a feature for each part and one for its age, so one column gives several features.

    Args:
        parts: some of ``hour``, ``weekday`` and ``month``.
        cyclic: whether each part becomes sine and cosine instead of a row of a table.
        age: whether log(1 + days) before now is a feature too.

    Raises:
        InputError: if an option is none of these, or nothing is left.
    """

    parts: tuple[str, ...] = ("hour", "weekday")
    cyclic: bool = False
    age: bool = False

    def __post_init__(self) -> None:
        known = " or ".join(map(repr, PARTS))
        expect_options(
            self,
            parts=Expected(f"a list of {known}, each once", _are_parts, tuple(PARTS)),
            cyclic=FLAG,
            age=FLAG,
        )
        object.__setattr__(self, "parts", tuple(self.parts))  # TOML and JSON hold lists
        if not self.parts and not self.age:
            raise InputError("Time.parts is empty and Time.age false, so nothing is left; set one of them")
        if not self.parts and self.cyclic:
            raise InputError("Time.cyclic=True has no effect without parts; leave it out")


def fit_time(values: Values, options: Time, now: float | None = None) -> dict[str, FittedPart | FittedAge]:
    """The features of a column of times, by the name of the part, and ``age``.

    Args:
        values: unix seconds or dates of the training part alone.
        options: which features.
        now: unix seconds that ages count back from; the latest of the values if left out.

    Raises:
        InputError: if the values are neither numbers nor dates, or look like milliseconds.

    Example:
        >>> list(fit_time([0, 86_400], Time(age=True)))
        ['hour', 'weekday', 'age']
    """
    expect_seconds(values)
    features: dict[str, FittedPart | FittedAge] = {
        part: FittedPart(part, options.cyclic) for part in options.parts
    }
    return features | {"age": fit_age(values, now)} if options.age else features


def _are_parts(value: object) -> bool:
    if not isinstance(value, list | tuple):
        return False
    return all(isinstance(part, str) and part in PARTS for part in value) and len(set(value)) == len(value)
