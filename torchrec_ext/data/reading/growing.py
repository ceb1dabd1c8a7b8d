"""GrowingArray: an array to which blocks are added, in memory or in a file."""

from pathlib import Path
from typing import IO

import numpy as np


class GrowingArray:
    """Blocks laid one after the other.

    Args:
        dtype: of the values.
        width: of each row; 0 for single values.
        path: the file they go to, which must not be there; None keeps them in memory.

    Example:
        >>> array = GrowingArray(np.float32)
        >>> array.add(np.array([1.0, 2.0])); array.add(np.array([3.0]))
        >>> array.finish()
        array([1., 2., 3.], dtype=float32)
    """

    def __init__(self, dtype: type[np.generic], width: int = 0, path: Path | None = None) -> None:
        self.dtype, self.width, self.path = np.dtype(dtype), width, path
        self.rows = 0
        self._blocks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None if path is None else path.open("xb")

    def add(self, values: np.ndarray) -> None:
        """Adds (n,) or (n, width) values."""
        block = np.ascontiguousarray(values, self.dtype)
        self.rows += len(block)
        if self._file is None:
            self._blocks.append(block)
        else:
            self._file.write(block.data)

    def finish(self) -> np.ndarray:
        """All of them; those in a file are mapped into memory, to be read alone."""
        shape = (self.rows, self.width) if self.width else (self.rows,)
        if self._file is None:
            blocks, self._blocks = self._blocks, []
            return (
                blocks[0]
                if len(blocks) == 1
                else np.concatenate([*blocks, np.empty((0, *shape[1:]), self.dtype)])
            )
        self._file.close()
        assert self.path is not None
        if not self.rows:  # a file of no bytes cannot be mapped
            return np.empty(shape, self.dtype)
        return np.memmap(self.path, self.dtype, "r", shape=shape)
