"""Instants and spans of time as users write them, in seconds."""

import datetime
import math
import re
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.as_written import number_as_written
from torchrec_ext.errors import InputError

Instant: TypeAlias = float | str | datetime.date | np.datetime64
"""Unix seconds, or a date or time: a string with the year first such as 2024-01-31, a ``datetime``, a
pandas ``Timestamp``; in UTC if it has no zone. A date is its first instant."""

Span: TypeAlias = float | str | datetime.timedelta | np.timedelta64
"""Seconds, or a ``timedelta``, a pandas ``Timedelta`` or a string such as ``7 days``."""


_YEAR_FIRST = re.compile(r"([0-9]{4})([-/])([0-9]{1,2})(?:\2([0-9]{1,2})([T ].+)?)?")


def instant(name: str, value: Instant) -> float:
    """Unix seconds of an instant; an integer stays one.

    Args:
        name: what the value is called in the message.
        value: the instant.

    Raises:
        InputError: if it is neither a finite number nor a date, or a date whose year is not first, such as
            9.8.2001: it may be a day of August or of September.

    Example:
        >>> instant("valid_from", "2001-09-09"), instant("valid_from", pd.Timestamp("2001-09-09 02:00+02:00"))
        (999993600.0, 999993600.0)
        >>> instant("valid_from", 1_000_000_000), instant("valid_from", "1e9")
        (1000000000, 1000000000.0)
    """
    found = number_as_written(value)
    if found is None and isinstance(value, str | datetime.date | np.datetime64):
        with suppress(ValueError, TypeError, OverflowError):
            date = _parse(value) if isinstance(value, str) else pd.Timestamp(value)
            found = (date.tz_localize("UTC") if date.tzinfo is None else date).timestamp()
    if found is None or not math.isfinite(found):
        raise InputError(
            f"{name} should be unix seconds or a date such as 2024-01-31 or 2024-01-31T12:00+01:00, received "
            f"{value!r}" + ("; write the year first" if isinstance(value, str) else "")
        )
    return found


def _parse(text: str) -> pd.Timestamp:
    """The instant of a string; ``pd.Timestamp`` alone takes the 9.8.2001 and guesses which is the month."""
    parts = _YEAR_FIRST.fullmatch(text.strip())
    if parts is None:
        raise ValueError(text)
    year, _, month, day, time = parts.groups()
    return pd.to_datetime(f"{year}-{month:0>2}-{day or '1':0>2}{time or ''}", format="ISO8601")


def span(name: str, value: Span) -> float:
    """Seconds of a span of time.

    Args:
        name: what the value is called in the message.
        value: the span.

    Raises:
        InputError: if it is neither a finite number nor a span.

    Example:
        >>> span("gap", "1 day"), span("gap", pd.Timedelta(minutes=1)), span("gap", 30)
        (86400.0, 60.0, 30)
    """
    found = number_as_written(value)
    if found is None and isinstance(value, str | datetime.timedelta | np.timedelta64):
        with suppress(ValueError, TypeError, OverflowError):
            found = pd.Timedelta(value).total_seconds()
    if found is None or not math.isfinite(found):
        raise InputError(f"{name} should be seconds or a span such as '7 days', received {value!r}")
    return found
