"""Opening a side table, also one that is an array of vectors or a JSON object."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa

from torchrec_ext.data.reading.open_table import OpenTable, open_text
from torchrec_ext.data.sources.declaration import TableFile
from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.errors import InputError

ROW, VECTOR, KEY, VALUE = "row", "vector", "key", "value"
"""Columns of a NumPy file, whose ids are the numbers of its rows, and of a file that is one JSON object."""


def open_side(file: TableFile, entity: str) -> OpenTable:
    """Opens a side table, a ``.npy`` file of vectors or a ``.json`` file of one object among them.

    Raises:
        InputError: if the file is missing, of no known format, or cannot be read.
    """
    source = file.source
    if isinstance(source, str | Path) and file.format is None and Path(source).suffix in (".npy", ".json"):
        path = existing_file(Path(source))
        table = _array(path) if path.suffix == ".npy" else _object(path)
        return OpenTable(str(path), tuple(table.column_names), path.suffix == ".json", (path,), _memory=table)
    return open_text(file, f"the table of {entity}s")


def _array(path: Path) -> pa.Table:
    """Rows of a NumPy file: their numbers from 0 and their vectors."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"cannot read {path} as an array of NumPy: {str(error).splitlines()[0]}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else "several arrays"
        raise InputError(f"{path} holds {held}; expected one array of numbers, of shape (n, width)")
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{path} holds an array of shape {array.shape}; expected one row an id, (n, width)")
    with np.errstate(over="ignore"):
        flat = pa.array(np.ascontiguousarray(array, np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    return pa.table({ROW: pa.array(np.arange(len(array))), VECTOR: vectors})


def _object(path: Path) -> pa.Table:
    """Entries of a JSON object: its keys and their values."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("it is no object")
        return pa.table({KEY: list(found), VALUE: list(found.values())})
    except (ValueError, OSError, OverflowError, RecursionError, pa.ArrowException) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"cannot read {path} as one JSON object of ids and values ({reason}); a file of one object a "
            "line is called .jsonl"
        ) from error
