"""A column of vectors as one array."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.errors import InputError

Vectors: TypeAlias = np.ndarray | pd.Series | Sequence
"""(n, width) numbers, or n lists of width numbers."""


def vectors_of(values: Vectors, width: int) -> np.ndarray:
    """The vectors as one array.

    Args:
        values: (n, width) numbers, or n lists of numbers; one that is None, or has a number that is
            missing or infinite in float32, is missing.
        width: how many numbers each has.

    Returns:
        (n, width) float32; all NaN where it is missing.

    Raises:
        InputError: if they are no vectors, or of another width.

    Example:
        >>> vectors_of([[1, 2], None, [3, float("inf")]], 2)
        array([[ 1.,  2.],
               [nan, nan],
               [nan, nan]], dtype=float32)
    """
    if isinstance(values, np.ndarray) and values.ndim == 2:
        vectors = _from_array(values, width)
    else:
        vectors = _from_lists(values, width)
    missing = ~np.isfinite(vectors).all(axis=1)
    if missing.any():
        vectors = np.where(missing[:, None], np.float32(np.nan), vectors)
    return vectors


def _from_array(values: np.ndarray, width: int) -> np.ndarray:
    if values.shape[1] != width or not np.issubdtype(values.dtype, np.number):
        raise InputError(
            f"vectors should be numbers of shape (n, {width}), received {values.dtype} of shape "
            f"{values.shape}; set Vector.width or mend the vectors"
        )
    with np.errstate(over="ignore"):
        return values.astype(np.float32, copy=False)


def _from_lists(values: Vectors, width: int) -> np.ndarray:
    try:
        column = pa.array(values, from_pandas=True)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise InputError(f"vectors should be a list of {width} numbers in each row: {error}") from None
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    vectors = np.full((len(column), width), np.nan, np.float32)
    if pa.types.is_null(column.type):
        return vectors
    lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
    if not any(is_a(column.type) for is_a in lists):
        raise InputError(f"vectors should be a list of {width} numbers in each row, received {column.type}")
    lengths = pc.list_value_length(column).drop_null().to_numpy()
    if (lengths != width).any():
        wrong = lengths[lengths != width][0]
        raise InputError(
            f"vectors should have {width} numbers each, received one of {wrong}; set Vector.width or mend it"
        )
    flat = column.drop_null().flatten()
    try:
        numbers = flat.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(f"vectors should be lists of numbers: {error}") from None
    with np.errstate(over="ignore"):
        vectors[column.is_valid().to_numpy(zero_copy_only=False)] = numbers.reshape(-1, width)
    return vectors
