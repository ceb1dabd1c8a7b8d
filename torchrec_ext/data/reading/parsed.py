"""What parsing a column of a block gives: its values, and the rows that have none because they are bad."""

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Parsed(NamedTuple):
    """Values of a column.

    Args:
        values: (rows,), null where the value is missing or bad.
        bad: pairs of (rows,) bool and the reason why these rows are bad; empty if none is.
    """

    values: pa.Array
    bad: tuple[tuple[np.ndarray, str], ...] = ()


def flags(mask: pa.Array) -> np.ndarray:
    """A boolean Arrow array as NumPy's, null as False."""
    if mask.null_count:
        mask = pc.fill_null(mask, False)
    return mask.to_numpy(zero_copy_only=False)


def emptied(values: pa.Array, mask: np.ndarray) -> pa.Array:
    """The values with null where the mask is set."""
    # Not by if_else, which breaks slices of words in pyarrow 15.
    return values.take(pa.array(np.arange(len(values)), mask=mask)) if mask.any() else values


def bad_rows(*pairs: tuple[np.ndarray, str]) -> tuple[tuple[np.ndarray, str], ...]:
    """Those pairs of a mask and a reason of which the mask is set anywhere."""
    return tuple(pair for pair in pairs if pair[0].any())
