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


def instant(name: str, value: Instant) -> Fraction:
    """Exact unix seconds of an instant; a float is the decimal number it is written as.

    Args:
        name: what the value is called in the message.
        value: the instant.

    Raises:
        InputError: if it is neither a finite number nor a date, or a date whose year is not first, such as
            9.8.2001: it may be a day of August or of September.

    Example:
        >>> instant("valid_from", "2001-09-09"), instant("valid_from", pd.Timestamp("2001-09-09 02:00+02:00"))
        (Fraction(999993600, 1), Fraction(999993600, 1))
        >>> instant("valid_from", "1e9"), instant("valid_from", 0.1)
        (Fraction(1000000000, 1), Fraction(1, 10))
    """
    found = _exact(value)
    if found is None and isinstance(value, str | datetime.date | np.datetime64 | pd.Period):
        with suppress(ValueError, TypeError, OverflowError):
            date = _parse(value) if isinstance(value, str) else value
            date = date.start_time if isinstance(date, pd.Period) else pd.Timestamp(date)
            date = date.tz_localize("UTC") if date.tzinfo is None else date
            rest = 1000 * date.microsecond + date.nanosecond
            found = math.floor(date.replace(microsecond=0).timestamp()) + Fraction(rest, 10**9)
    if found is None:
        raise InputError(
            f"{name} should be unix seconds or a date such as 2024-01-31 or 2024-01-31T12:00+01:00, received "
            f"{value!r}" + ("; write the year first" if isinstance(value, str) else "")
        )
    return found


def span(name: str, value: Span) -> Fraction:
    """Exact seconds of a span of time.

    Args:
        name: what the value is called in the message.
        value: the span.

    Raises:
        InputError: if it is neither a finite number nor a span.

    Example:
        >>> [float(span("gap", value)) for value in ("1 day", pd.Timedelta(minutes=1), 30)]
        [86400.0, 60.0, 30.0]
    """
    found = _exact(value)
    if found is None and isinstance(value, str | datetime.timedelta | np.timedelta64):
        with suppress(ValueError, TypeError, OverflowError):
            length = pd.Timedelta(value)
            rest = 1000 * length.microseconds + length.nanoseconds
            found = 86_400 * length.days + length.seconds + Fraction(rest, 10**9)
    if found is None:
        raise InputError(f"{name} should be seconds or a span such as '7 days', received {value!r}")
    return found


def comparable(
    exact: Fraction | float, values: np.ndarray, rounded: Callable[[Any], int] = math.ceil
) -> int | float:
    """A bound that compares exactly with values: for floats the nearest one, else an integer.

    Args:
        exact: the bound; an infinite one stays.
        values: what is compared.
        rounded: ``math.ceil`` for values that reach the bound, ``math.floor`` for those that do not pass it.

    Example:
        >>> seconds = np.array([10, 11])
        >>> seconds >= comparable(instant("valid_from", "10.000000001"), seconds)
        array([False,  True])
    """
    return float(exact) if values.dtype.kind == "f" or not math.isfinite(exact) else rounded(exact)


def _exact(value: object) -> Fraction | None:
    """A finite number as it is written; None for anything else."""
    found = number_as_written(value)
    if found is None or not math.isfinite(found):
        return None
    if isinstance(value, str):  # a float would end after 17 digits
        return Fraction(value.strip().replace("_", ""))
    return Fraction(repr(found))


def _parse(text: str) -> pd.Timestamp:
    """The instant of a string; ``pd.Timestamp`` alone takes the 9.8.2001 and guesses which is the month."""
    parts = _YEAR_FIRST.fullmatch(text.strip())
    if parts is None:
        raise ValueError(text)
    year, _, month, day, time = parts.groups()
    return pd.to_datetime(f"{year}-{month:0>2}-{day or '1':0>2}{time or ''}", format="ISO8601")
