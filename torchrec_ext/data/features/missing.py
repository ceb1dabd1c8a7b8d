"""Missing numbers: which ones are, and what stands in for them."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.as_written import series_as_written
from torchrec_ext.errors import InputError

Values: TypeAlias = pd.Series | np.ndarray | Sequence
"""A column of the user's data."""

LARGEST = 1e150
"""Numbers are cut off here: squares of larger ones overflow float64, and no model tells them apart."""


def as_numbers(values: Values) -> np.ndarray:
    """A column as numbers.

    Args:
        values: n numbers, flags, or strings that spell numbers; None, NaN and infinite ones are missing.

    Returns:
        (n,) float64, NaN where it is missing, between -1e150 and 1e150 elsewhere.

    Raises:
        InputError: if something else is among them.

    Example:
        >>> as_numbers([1, None, float("inf"), -1e300])
        array([ 1.e+000,      nan,      nan, -1.e+150])
    """
    column = as_column(values)
    try:
        if getattr(column.dtype, "kind", "O") in "mMc":  # dates, spans and complex ones would be cut down
            raise TypeError
        if pd.api.types.is_float_dtype(column.dtype):
            numbers = series_as_written(column)
        else:
            numbers = column.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            f"{called(column)} should hold numbers, received {column.dtype} such as {an_example(column)}; "
            "convert it, or declare another kind of feature"
        ) from None
    return np.clip(np.where(np.isfinite(numbers), numbers, np.nan), -LARGEST, LARGEST)


def fit_fill(numbers: np.ndarray, missing: str, constant: float) -> float:
    """What stands in for a missing number.

    Args:
        numbers: (n,) float64, those that are there.
        missing: ``constant``, ``mean``, ``median`` or ``most_frequent`` (of several the smallest).
        constant: what ``constant`` takes.

    Returns:
        0 where there are no numbers to learn it from.

    Example:
        >>> numbers = np.array([1.0, 1.0, 2.0, 8.0])
        >>> [fit_fill(numbers, missing, 7) for missing in ("constant", "mean", "median", "most_frequent")]
        [7.0, 3.0, 1.5, 1.0]
    """
    if missing == "constant":
        return float(constant)
    if not len(numbers):
        return 0.0
    if missing == "mean":
        return float(numbers.mean())
    if missing == "median":
        return float(np.median(numbers))
    distinct, counts = np.unique(numbers, return_counts=True)
    return float(distinct[counts.argmax()])


def as_column(values: Values) -> pd.Series:
    """The values as a series.

    Raises:
        InputError: for an array of several axes.
    """
    if isinstance(values, pd.Series):
        return values
    if isinstance(values, np.ndarray) and values.ndim != 1:
        raise InputError(f"the column should be an array (n,), received one of shape {values.shape}")
    if hasattr(values, "dtype"):
        return pd.Series(values)
    # as objects, or a None among integers would make floats of them and take their last digits
    return pd.Series(list(values), dtype=object)


def called(column: pd.Series) -> str:
    """How a message calls a column."""
    return "the column" if column.name is None else f"column {column.name!r}"


def an_example(column: pd.Series) -> str:
    """The first value that is there, for a message."""
    there = column[column.notna().to_numpy()]
    value = there.iloc[0] if len(there) else None
    return repr(value.item() if isinstance(value, np.generic) else value)
