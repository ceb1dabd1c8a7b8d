"""A block of rows as the table holds them, before their values are parsed."""

from typing import NamedTuple, TypeAlias

import numpy as np
import pyarrow as pa

RawColumn: TypeAlias = pa.Array | list


class RawBlock(NamedTuple):
    """Rows of one file, whole ones only.

    Args:
        file: the file, or the name of the table in memory.
        lines: (rows,) int64, the line of each in the file, from 1; the row, in a typed table.
        columns: the values by the table's names: an Arrow array, or objects of Python whose types may differ.
        marker: the character that stands for bytes that are no UTF-8; None if there are none.
    """

    file: str
    lines: np.ndarray
    columns: dict[str, RawColumn]
    marker: str | None = None


def one_array(values: pa.Array | pa.ChunkedArray) -> pa.Array:
    """The same values in one piece; not copied if they are."""
    if isinstance(values, pa.Array):
        return values
    return (
        values.chunk(0)
        if values.num_chunks == 1
        else pa.concat_arrays(values.chunks or [pa.array([], values.type)])
    )
