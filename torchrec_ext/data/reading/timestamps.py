"""Timestamps: to seconds, and whether they tell a time or only an order."""

import logging

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.events import Order
from torchrec_ext.data.reading.ids import shown
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

_FAR_FUTURE = 1e11  # seconds: the year 5138; unix milliseconds of any year since 1973 lie beyond


def to_seconds(column: pd.Series, where: str) -> pd.Series:
    """Timestamps as numbers: numbers stay as they are, dates become unix seconds (UTC if none is said).

    Args:
        column: numbers, dates, or words that write either; its index counts the rows from 0.
        where: names the column in messages.

    Returns:
        int64 or float64, with the index of the input.

    Raises:
        InputError: if one is missing or is no time, with its value and row.
    """
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        seconds = _from_dates(column)
    elif pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_bool_dtype(column.dtype):
        seconds = column
    else:
        seconds = pd.to_numeric(column.astype(object), errors="coerce")
        if seconds.isna().all():
            seconds = _from_dates(pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601"))
    bad = ~np.isfinite(seconds.to_numpy(np.float64, na_value=np.nan))
    if bad.any():
        row = int(np.argmax(bad))
        value = column.iloc[row]
        raise InputError(
            f"{where} holds {'no value' if pd.isna(value) else shown(value)} in row {column.index[row] + 1} "
            f"({bad.sum():,} such rows of {len(column):,}); expected seconds or a date: mend or remove "
            "these rows, or leave the column out with timestamp="
        )
    seconds = seconds.astype(np.int64 if pd.api.types.is_integer_dtype(seconds.dtype) else np.float64)
    if seconds.abs().max() > _FAR_FUTURE:
        log.warning(
            "%s reaches %s: expected seconds, these look like milliseconds", where, seconds.abs().max()
        )
    return seconds


def order_of(users: Coded | None, times: np.ndarray | None) -> tuple[Order, int]:
    """What the timestamps of events tell, and how many events share user and timestamp with another.

    Timestamps are places in a history if they are whole numbers, none is above the number of its user's
    events, and few are equal.

    Args:
        users: (N,) users of the events; None where all are one's.
        times: (N,) timestamps, or None.
    """
    if times is None:
        return "none", 0
    codes = np.zeros(len(times), np.int32) if users is None else users.codes
    order = np.lexsort((times, codes))
    same = (codes[order[1:]] == codes[order[:-1]]) & (times[order[1:]] == times[order[:-1]])
    tied = int((np.append(same, False) | np.append(False, same)).sum())
    counts = np.bincount(codes)
    whole = times.min() >= 0 and times.max() <= counts.max() and bool((times == np.floor(times)).all())
    places = whole and bool((times <= counts[codes]).all()) and tied <= 0.1 * len(times)
    return ("order" if places else "time"), tied


def _from_dates(dates: pd.Series) -> pd.Series:
    if getattr(dates.dtype, "tz", None) is not None:
        dates = dates.dt.tz_convert("UTC").dt.tz_localize(None)
    seconds = (dates - pd.Timestamp(0)) / pd.Timedelta(seconds=1)
    whole = not seconds.isna().any() and (seconds == np.floor(seconds)).all()
    return seconds.astype(np.int64) if whole else seconds
