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
    """(N,) float64 of numbers, flags or strings that spell numbers, else InputError; NaN where not finite.

    Of a dictionary column each distinct value is parsed once.
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
    """(N,) float64 seconds since 1970 of unix seconds or dates (UTC if none is said), else InputError.

    Those beyond FARTHEST are NaN as missing ones are; in ``learning`` they are refused if they are the most.
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
