"""The values of a column as numbers or seconds."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
from pydantic import BeforeValidator

from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.columns import codes_of
from torchrec_ext.errors import InputError

Values: TypeAlias = pa.Array | np.ndarray | Sequence
"""N values: a column of any type of ``data.columns``, or an array of numbers."""

LIST_IS_TUPLE = BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
"""Of a field that is a tuple: TOML and JSON hold lists."""

LARGEST = 1e150
"""Numbers are cut off here: squares of larger ones overflow float64, and no model tells them apart."""

FARTHEST = 1e11
"""Seconds: the years 5138 and -1199. Unix milliseconds of any year since 1973 lie beyond."""


def as_numbers(values: Values) -> np.ndarray:
    """Values as numbers; of a dictionary column each distinct value is parsed once.

    Args:
        values: N numbers, flags, or strings that spell numbers, else InputError; null, NaN and infinite ones
            are missing.

    Returns:
        (N,) float64, NaN where it is missing, between -1e150 and 1e150 elsewhere.

    Example:
        >>> as_numbers([1, None, float("inf"), -1e300])
        array([ 1.e+000,      nan,      nan, -1.e+150])
    """
    if isinstance(values, pa.DictionaryArray):
        return np.append(as_numbers(values.dictionary), np.nan)[codes_of(values)]
    try:
        if isinstance(values, pa.Array):
            if pa.types.is_temporal(values.type) or pa.types.is_nested(values.type):
                raise TypeError(f"received {values.type}")
            values = values.to_pandas()
        numbers = as_written(values)
        if numbers.ndim != 1:
            raise TypeError(f"received an array of shape {numbers.shape}")
    except (TypeError, ValueError) as error:
        raise InputError(f"the values should be numbers: {error}; declare another kind of feature") from None
    return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST)


def as_seconds(values: Values, *, learning: bool = False) -> np.ndarray:
    """Times as seconds since 1970, UTC.

    Args:
        values: N unix seconds, or dates (UTC if none is said); those beyond :data:`FARTHEST` are missing.
        learning: whether values that are mostly too large to be seconds are refused.

    Returns:
        (N,) float64, NaN where it is missing; InputError if they are neither numbers nor dates.

    Example:
        >>> as_seconds([60, None])
        array([60., nan])
        >>> as_seconds([1_600_000_000_000], learning=True)
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: times reach 1.6e+12, expected unix seconds; these look like ...
    """
    if isinstance(values, pa.DictionaryArray) and pa.types.is_temporal(values.dictionary.type):
        return np.append(as_seconds(values.dictionary), np.nan)[codes_of(values)]
    if isinstance(values, pa.Array) and (pa.types.is_timestamp(values.type) or pa.types.is_date(values.type)):
        dates = pd.to_datetime(values.to_pandas(), utc=True)
        values = ((dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1)).to_numpy(np.float64)
    numbers = as_numbers(values)
    far = np.abs(numbers) > FARTHEST
    if learning and far.sum() * 2 > (~np.isnan(numbers)).sum():
        raise InputError(
            f"times reach {np.nanmax(np.abs(numbers)):g}, expected unix seconds; these look like "
            "milliseconds or finer, divide them"
        )
    return np.where(far, np.nan, numbers)
