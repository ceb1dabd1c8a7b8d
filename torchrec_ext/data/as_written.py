"""Numbers as they were written, and values as a message shows them."""

from contextlib import suppress

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def as_written(values: npt.ArrayLike) -> np.ndarray:
    """Numbers as float64 of the same shape, each as it is written: the float32 .7 becomes .7, not .699999988.

    Every column of numbers and every threshold goes through here, so that they compare as they read: a plain
    cast would leave the stored .7 below the .7 of a user.
    """
    array = np.asarray(values)
    if array.dtype == np.float16:  # Arrow writes its values out as those of float32
        distinct, places = np.unique(array, return_inverse=True)
        return distinct.astype(str).astype(np.float64)[places].reshape(array.shape)
    if array.dtype != np.float32:
        return array.astype(np.float64, copy=False)
    words = pa.array(array.ravel()).cast(pa.string())
    return words.cast(pa.float64()).to_numpy(zero_copy_only=False).reshape(array.shape)


def floats_as_written(values: pa.Array) -> pa.Array:
    """The same of an Arrow array of numbers; null stays null."""
    if pa.types.is_float32(values.type) or pa.types.is_float16(values.type):
        missing = values.is_null().to_numpy(zero_copy_only=False)
        return pa.array(as_written(values.to_numpy(zero_copy_only=False)), pa.float64(), mask=missing)
    return values.cast(pa.float64(), safe=False)


def number_as_written(value: object) -> float | None:
    """A number that a user gave, perhaps as a string; an integer stays one, None for anything else.

    Example:
        >>> [number_as_written(value) for value in (np.float32(0.7), "9007199254740993", "1e3", "many", True)]
        [0.7, 9007199254740993, 1000.0, None, None]
    """
    if isinstance(value, bool | np.bool_ | np.timedelta64):
        return None
    if isinstance(value, int | np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(as_written(value))
    for kind in (int, float):
        with suppress(ValueError):
            return kind(value) if isinstance(value, str) else None
    return None


def shown(value: object) -> str:
    """A value as a message shows it: NumPy's 7 is 7, not ``np.int64(7)``."""
    return repr(value.item() if isinstance(value, np.generic) else value)
