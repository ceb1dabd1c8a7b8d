"""Rows of a column in another order, into memory or, a piece at a time, into a file."""

import mmap
from pathlib import Path

import numpy as np

from torchrec_ext.data.array_file import GrowingArray, column_file, open_array
from torchrec_ext.data.lists import Lists
from torchrec_ext.data.slices import offsets_of

OFFSETS = ".offsets.npy"
"""Ending of the file that tells where lists begin."""
_PIECE = 1 << 20
"""Rows that are in memory at a time."""


def gather(
    column: np.ndarray | Lists, rows: np.ndarray, folder: Path | None = None, name: str = "column"
) -> np.ndarray | Lists:
    """The rows of a column, in their order.

    Args:
        column: (N,) or (N, width) numbers, or N lists.
        rows: (n,) int.
        folder: where they are kept; None keeps them in memory.
        name: of the column, which its file is called by.

    Example:
        >>> gather(np.array([7, 8, 9]), np.array([2, 0]))
        array([9, 7])
    """
    if folder is None:
        return column[rows]
    values = column.values if isinstance(column, Lists) else column
    width = values.shape[1] if values.ndim == 2 else 0
    grown = GrowingArray(values.dtype, width, column_file(folder, name))
    lengths: list[np.ndarray] = []
    for start in range(0, len(rows), _PIECE):
        piece = column[rows[start : start + _PIECE]]
        if isinstance(piece, Lists):
            lengths.append(piece.lengths)
            piece = piece.values
        grown.add(piece)
    let_go(values)
    found = grown.finish()
    if not isinstance(column, Lists):
        return found
    offsets = GrowingArray(np.int64, path=column_file(folder, name, OFFSETS))
    offsets.add(offsets_of(np.concatenate([np.zeros(0, np.int64), *lengths])))
    return Lists(found, offsets.finish())


def let_go(values: np.ndarray) -> None:
    """Gives back the memory of what was read of a mapped file; it is read again when it is needed."""
    mapped = getattr(values, "_mmap", None)
    if mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        mapped.madvise(mmap.MADV_DONTNEED)


def open_column(folder: Path, name: str) -> np.ndarray | Lists:
    """A column that :func:`gather` kept in a folder."""
    values, offsets = open_array(column_file(folder, name)), column_file(folder, name, OFFSETS)
    return Lists(values, open_array(offsets)) if offsets.is_file() else values
