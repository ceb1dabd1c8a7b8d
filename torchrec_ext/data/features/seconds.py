"""A column of times as unix seconds."""

import numpy as np
import pandas as pd

from torchrec_ext.data.features.missing import Values, as_column, as_numbers
from torchrec_ext.errors import InputError

FARTHEST = 1e11
"""Seconds: the years 5138 and -1199. Unix milliseconds of any year since 1973 lie beyond."""


def as_seconds(values: Values) -> np.ndarray:
    """A column as seconds since 1970, UTC.

    Args:
        values: n unix seconds, or dates (UTC if none is said); None, NaN, NaT, infinite ones and those
            beyond :data:`FARTHEST` are missing.

    Returns:
        (n,) float64, NaN where it is missing.

    Raises:
        InputError: if they are neither numbers nor dates, or most are beyond :data:`FARTHEST`.

    Example:
        >>> as_seconds([60, None])
        array([60., nan])
        >>> as_seconds(pd.Series(pd.to_datetime(["1970-01-02", None])))
        array([86400.,    nan])
    """
    column = as_column(values).infer_objects()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        if getattr(column.dtype, "tz", None) is not None:
            column = column.dt.tz_convert("UTC").dt.tz_localize(None)
        numbers = ((column - pd.Timestamp(0)) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    else:
        numbers = as_numbers(column)
    return np.where(np.abs(numbers) <= FARTHEST, numbers, np.nan)


def expect_seconds(values: Values) -> None:
    """Refuses a column to be fitted whose times are mostly too large to be seconds.

    Raises:
        InputError: with the greatest one.

    Example:
        >>> expect_seconds([1_600_000_000_000])
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: times reach 1.6e+12, expected unix seconds; these look like ...
    """
    column = as_column(values).infer_objects()
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return
    sizes = np.abs(as_numbers(column))
    sizes = sizes[~np.isnan(sizes)]
    if (sizes > FARTHEST).sum() * 2 > len(sizes):
        raise InputError(
            f"times reach {sizes.max():g}, expected unix seconds; these look like milliseconds or finer, "
            "divide them"
        )
