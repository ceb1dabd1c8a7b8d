"""Instants and spans of time as users write them: exact numbers of seconds, compared with times as kept."""

import datetime
import math
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from re import compile as pattern
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.as_written import number_as_written
from torchrec_ext.errors import InputError

Instant: TypeAlias = float | str | datetime.date | np.datetime64 | pd.Period
"""Unix seconds, or a date or time: a string with the year first such as 2024-01-31, a ``datetime``, a pandas
``Timestamp`` or ``Period``; in UTC if it has no zone. A date or a period is its first instant."""

Span: TypeAlias = float | str | datetime.timedelta | np.timedelta64
"""Seconds, or a ``timedelta``, a pandas ``Timedelta`` or a string such as ``7 days``."""

_YEAR_FIRST = pattern(r"([0-9]{4})([-/])([0-9]{1,2})(?:\2([0-9]{1,2})([T ].+)?)?")
_NOT_A_TIME = (ValueError, TypeError, OverflowError, AttributeError)


def instant(name: str, value: Instant) -> Fraction:
    """Exact unix seconds of an instant; a float is the decimal number it is written as.

    An InputError, which calls it ``name``, if it is neither a finite number nor a date, or a date whose year
    is not first, such as 9.8.2001: it may be a day of August or of September.
    """
    found = _exact(value)
    if found is None and isinstance(value, str | datetime.date | np.datetime64 | pd.Period):
        with suppress(*_NOT_A_TIME):
            date = _parse(value) if isinstance(value, str) else value
            found = _seconds(date.start_time if isinstance(date, pd.Period) else pd.Timestamp(date))
    if found is None:
        raise InputError(
            f"{name} should be unix seconds or a date such as 2024-01-31 or 2024-01-31T12:00+01:00, received "
            f"{value!r}" + ("; write the year first" if isinstance(value, str) else "")
        )
    return found


def span(name: str, value: Span, *, or_none: bool = False) -> Fraction:
    """Exact seconds of a span of time; an InputError, which calls it ``name``, if it is not one above 0.

    With ``or_none`` it may be 0 seconds.
    """
    found = _exact(value)
    if found is None and isinstance(value, str | datetime.timedelta | np.timedelta64):
        with suppress(*_NOT_A_TIME):
            found = _seconds(pd.Timedelta(value))
    if found is None:
        raise InputError(f"{name} should be seconds or a span such as '7 days', received {value!r}")
    if found < 0 or not (found or or_none):
        least = "0 seconds or more" if or_none else "more than 0 seconds"
        raise InputError(f"{name} should be {least}, received {value}")
    return found


def comparable(
    exact: Fraction | float, values: np.ndarray, rounded: Callable[[Any], int] = math.ceil
) -> int | float:
    """A bound, perhaps infinite, that compares exactly with values: a float or an integer as they are.

    An integer is rounded up for values that reach the bound, by ``math.floor`` for those not to pass it.
    """
    return float(exact) if values.dtype.kind == "f" or not math.isfinite(exact) else rounded(exact)


def _exact(value: object) -> Fraction | None:
    """A finite number as it is written; None for anything else."""
    found = number_as_written(value)
    if found is None or not math.isfinite(found):
        return None
    # of a string itself, for a float would end after 17 digits
    return Fraction(value.strip().replace("_", "") if isinstance(value, str) else repr(found))


def _seconds(value: pd.Timestamp | pd.Timedelta) -> Fraction:
    """Exact seconds, of an instant since 1970 in UTC; NaT has no unit."""
    per_second = np.timedelta64(1, "s") // np.timedelta64(1, value.unit)
    return Fraction(int(value.asm8.astype(np.int64)), int(per_second))


def _parse(text: str) -> pd.Timestamp:
    """The instant of a string; ``pd.Timestamp`` alone takes the 9.8.2001 and guesses which is the month."""
    parts = _YEAR_FIRST.fullmatch(text.strip())
    if parts is None:
        raise ValueError(text)
    year, _, month, day, time = parts.groups()
    return pd.to_datetime(f"{year}-{month:0>2}-{day or '1':0>2}{time or ''}", format="ISO8601")
