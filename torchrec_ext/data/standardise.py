"""Numeric features: mean 0 and deviation 1 on the training part."""

import numpy as np
import pandas as pd

from torchrec_ext.errors import InputError

Scale = tuple[float, float]
"""Mean and standard deviation."""


def fit_scale(values: pd.Series) -> Scale:
    """Mean and standard deviation of the numbers that are there.

    Args:
        values: (n,) numbers; missing and infinite ones are passed over.

    Returns:
        The deviation is 1 where the numbers do not differ; (0, 1) where there is none.

    Example:
        >>> fit_scale(pd.Series([1.0, None, 5.0]))
        (3.0, 2.0)
        >>> fit_scale(pd.Series([0.1, 0.1, 0.1]))[1]
        1.0
    """
    numbers = _numbers(values)
    numbers = numbers[np.isfinite(numbers)]
    if not len(numbers):
        return 0.0, 1.0
    deviation = float(numbers.std())
    same = deviation <= 1e-9 * np.abs(numbers).max()  # what is left of equal numbers by rounding
    return float(numbers.mean()), 1.0 if same else deviation


def standardise(values: pd.Series, scale: Scale) -> np.ndarray:
    """(n,) float32 distances from the mean in deviations; 0, the mean, for a missing or infinite number.

    Args:
        values: (n,) numbers.
        scale: what :func:`fit_scale` found.

    Raises:
        InputError: if the values are no numbers.

    Example:
        >>> standardise(pd.Series([1.0, None, 9.0]), (3.0, 2.0))
        array([-1.,  0.,  3.], dtype=float32)
    """
    mean, deviation = scale
    distances = (_numbers(values) - mean) / deviation
    return np.where(np.isfinite(distances), distances, 0).astype(np.float32)


def _numbers(values: pd.Series) -> np.ndarray:
    try:
        return values.to_numpy(np.float64, na_value=np.nan)
    except (TypeError, ValueError):
        raise InputError(
            f"column {values.name!r} should hold numbers, received {values.dtype} such as {values.iloc[0]!r}"
        ) from None
