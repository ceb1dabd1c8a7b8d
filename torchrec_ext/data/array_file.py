"""Arrays in ``.npy`` files: written block by block, and mapped into memory."""

from pathlib import Path
from typing import IO
from urllib.parse import quote

import numpy as np

from torchrec_ext.errors import InputError

_HEADER = 128
"""Bytes of the head of a ``.npy`` file whose array has one or two axes and a plain type."""


class GrowingArray:
    """Blocks laid one after the other.

    Args:
        dtype: of the values.
        width: of each row; 0 for single values.
        path: the ``.npy`` file they go to, which must not be there; None keeps them in memory.

    Raises:
        InputError: if the file is there, or cannot be made.

    Example:
        >>> array = GrowingArray(np.float32)
        >>> array.add(np.array([1.0, 2.0])); array.add(np.array([3.0]))
        >>> array.finish()
        array([1., 2., 3.], dtype=float32)
    """

    def __init__(self, dtype: np.dtype | type[np.generic], width: int = 0, path: Path | None = None) -> None:
        self.dtype, self.width, self.path = np.dtype(dtype), width, path
        self.rows = 0
        self._blocks: list[np.ndarray] = []
        self._file: IO[bytes] | None = None if path is None else _new_file(path)
        if self._file is not None:
            self._file.write(bytes(_HEADER))  # the number of rows is known at the end

    def add(self, values: np.ndarray) -> None:
        """Adds (n,) or (n, width) values."""
        block = np.ascontiguousarray(values, self.dtype)
        self.rows += len(block)
        if self._file is None:
            self._blocks.append(block)
        else:
            self._file.write(block.data)

    def finish(self) -> np.ndarray:
        """All of them, to be asked for once; those in a file are mapped into memory, to be read alone."""
        shape = (self.rows, self.width) if self.width else (self.rows,)
        if self._file is None:
            blocks, self._blocks = self._blocks, []
            if len(blocks) == 1:
                return blocks[0]
            return np.concatenate([*blocks, np.empty((0, *shape[1:]), self.dtype)])
        head = {"descr": np.lib.format.dtype_to_descr(self.dtype), "fortran_order": False, "shape": shape}
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, head)
        assert self._file.tell() == _HEADER
        self._file.close()
        assert self.path is not None
        return open_array(self.path)


def _new_file(path: Path) -> IO[bytes]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")
    except OSError as error:
        raise InputError(
            f"cannot keep a column in {path}: {error.strerror}; name an empty folder that can be written"
        ) from error


def column_file(folder: Path, name: str, ending: str = ".npy") -> Path:
    """The file of a column, whatever its name; ``ending`` tells what of it is there.

    Example:
        >>> column_file(Path("log"), "a/b.c")
        PosixPath('log/a%2Fb.c.npy')
    """
    return folder / (quote(name, safe=" ") + ending)


def open_array(path: Path) -> np.ndarray:
    """An array of a ``.npy`` file, mapped into memory to be read alone."""
    # a file of no values cannot be mapped
    empty = path.stat().st_size <= _HEADER
    return np.load(path, mmap_mode=None if empty else "r", allow_pickle=False)
