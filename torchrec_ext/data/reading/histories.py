"""Files of a line a user: the user, then the items in the order of the user's history."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.reading.source_file import existing_file
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.errors import InputError


def read_histories(path: Path) -> pa.Table:
    """Reads the layout that SASRec and S3-Rec use, such as ``7 12 5 88``.

    Args:
        path: a text file of words with blanks between them.

    Returns:
        Columns ``user``, ``item`` and ``timestamp``, the place in the history from 0.

    Raises:
        InputError: if the file is missing, empty, no UTF-8, or has a line without an item.
    """
    try:
        lines = [line.split() for line in existing_file(path).read_text().splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no UTF-8 ({error.reason}); convert it first, with iconv for instance"
        ) from error
    short = next((number for number, line in enumerate(lines, 1) if len(line) < 2), None)
    if short is not None:
        raise InputError(f"line {short} of {path} holds a user and no item; expected a user, then items")
    lengths = np.array([len(line) - 1 for line in lines])
    users = pa.array([line[0] for line in lines]).take(pa.array(np.repeat(np.arange(len(lines)), lengths)))
    items = pa.array([item for line in lines for item in line[1:]])
    places = np.arange(lengths.sum()) - np.repeat(offsets_of(lengths)[:-1], lengths)
    return pa.table({"user": _integers(users), "item": _integers(items), "timestamp": places})


def _integers(words: pa.Array) -> pa.Array:
    """Words as the integers they all are, or as they are."""
    try:
        numbers = words.cast(pa.int64())
    except pa.ArrowInvalid:
        return words
    return numbers if pc.all(pc.equal(numbers.cast(pa.string()), words)).as_py() else words
