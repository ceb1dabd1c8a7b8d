"""Tables of pandas and Arrow, and small files that are read whole, as Arrow columns that DuckDB knows."""

import json
from itertools import groupby
from pathlib import Path
from tokenize import TokenError

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.as_written import floats_as_written
from torchrec_ext.data.sources.source_file import one_line
from torchrec_ext.data.sources.text_file import open_bytes
from torchrec_ext.errors import InputError

#: Columns of a NumPy file, whose ids are the numbers of its rows, and of a file that is one JSON object.
ROW, VECTOR, KEY, VALUE = "row", "vector", "key", "value"


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values of the few types that DuckDB does not know, as others that it knows."""
    kind = values.type
    if isinstance(kind, pa.BaseExtensionType):
        return plain(pa.chunked_array([c.storage for c in values.chunks], kind.storage_type))
    if pa.types.is_float16(kind):
        return pa.chunked_array([floats_as_written(c) for c in values.chunks], pa.float64())
    if pa.types.is_timestamp(kind) and kind.tz and kind.unit == "ns":  # some releases would round them
        return values.cast(pa.timestamp("ns"))
    return values.cast(pa.string()) if pa.types.is_decimal256(kind) else values


def from_pandas(values: pd.Series, name: str) -> tuple[pa.Array | pa.ChunkedArray, bool]:
    """A column of a DataFrame, and whether it is JSON, as objects of several types are."""
    if isinstance(values.dtype, pd.PeriodDtype):
        values = values.dt.to_timestamp()
    try:
        found = pa.array(values, from_pandas=True)
        return plain(found if isinstance(found, pa.ChunkedArray) else pa.chunked_array([found])), False
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        if values.dtype == object:
            return pa.array([_as_json(value) for value in values], pa.string()), True
        raise InputError(
            f"column {str(values.name)!r} of {name} is of type {values.dtype}, which cannot be read: "
            f"{one_line(error)}; convert it with astype"
        ) from error


def _as_json(value: object) -> str | None:
    """A Python object as JSON; what JSON does not know as text."""
    if value is None or value is pd.NA or value is pd.NaT or isinstance(value, float) and value != value:
        return None
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    text = json.dumps(value, default=str, skipkeys=True)
    return None if text == "null" else text


def numpy_file(path: Path) -> pa.Table:
    """Rows of a NumPy file: their numbers from 0 and their vectors."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, TokenError) as error:  # NumPy tokenizes a header
        raise InputError(f"cannot read {path} as an array of NumPy: {one_line(error)}") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiub":
        held = f"an array of {array.dtype}" if isinstance(array, np.ndarray) else "several arrays"
        raise InputError(f"{path} holds {held}; expected one array of numbers, of shape (n, width)")
    if array.ndim != 2 or not array.shape[1]:
        raise InputError(f"{path} holds an array of shape {array.shape}; expected one row an id, (n, width)")
    with np.errstate(over="ignore"):
        flat = pa.array(np.ascontiguousarray(array, np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, array.shape[1])
    return pa.table({ROW: pa.array(np.arange(len(array))), VECTOR: vectors})


def json_object(path: Path) -> pa.Table:
    """Entries of a JSON object: its keys and their values."""
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
        if not isinstance(found, dict):
            raise ValueError("it is not an object")
        return pa.table({KEY: list(found), VALUE: list(found.values())})
    except (ValueError, OSError, OverflowError, RecursionError, pa.ArrowException) as error:
        raise InputError(
            f"cannot read {path} as one JSON object of ids and values ({one_line(error)}); a file of one "
            "object a line is called .jsonl"
        ) from error


def read_histories(path: Path, encoding: str = "utf-8") -> pa.Table:
    """Reads the layout that SASRec and S3-Rec use, such as ``7 12 5 88``: words with white space between.

    Columns ``user`` and ``item`` hold words, ``timestamp`` the position in the history from 0. Lines of a
    user that follow each other are one history.
    """
    try:
        with open_bytes(path) as file:
            text = file.read().decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding.upper()} ({error}); set another encoding=") from error
    lines = [(n, words) for n, line in enumerate(text.split("\n"), 1) if (words := line.split())]
    if not lines:
        raise InputError(f"{path} holds blank lines alone; expected a user, then items, on each")
    if lacking := [n for n, words in lines if len(words) == 1]:
        raise InputError(f"line {lacking[0]} of {path} holds a user and no item; expected a user, then items")
    histories = [
        (user, [item for _, (_, *items) in own for item in items])
        for user, own in groupby(lines, key=lambda line: line[1][0])
    ]
    several = len({user for user, _ in histories}) < len(histories)
    pairs = all(len(words) == 2 for _, words in lines)
    if several or pairs and len(histories) < len(lines):
        raise InputError(
            f"{path} has several lines of one user; expected one line a user, with all items in order. If "
            "each line is a pair, read it with format='csv', delimiter=' ' or '\\t', header=['user', 'item']"
        )
    rows = [(user, item, place) for user, items in histories for place, item in enumerate(items)]
    return pa.table(dict(zip(("user", "item", "timestamp"), zip(*rows, strict=True), strict=True)))
