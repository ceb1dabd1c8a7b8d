"""Files of a line a user: the user, then the items in the order of the user's history."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.sources.source_file import existing_file, open_bytes, reading
from torchrec_ext.errors import InputError


def read_histories(path: Path) -> pa.Table:
    """Reads the layout that SASRec and S3-Rec use, such as ``7 12 5 88``.

    Args:
        path: a text file of words with blanks between them, which may end in ``.gz``.

    Returns:
        Columns ``user`` and ``item``, words, and ``timestamp``, the place in the history from 0.

    Raises:
        InputError: if the file is missing, empty, no UTF-8, or has a line without an item.
    """
    try:
        with reading(path), open_bytes(existing_file(path)) as file:
            lines = [line.split() for line in file.read().decode("utf-8-sig").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is no UTF-8 ({error.reason}); convert it first, with iconv for instance"
        ) from error
    short = next((number for number, line in enumerate(lines, 1) if len(line) == 1), None)
    if short is not None:
        raise InputError(f"line {short} of {path} holds a user and no item; expected a user, then items")
    lines = [line for line in lines if line]
    if not lines:
        raise InputError(f"{path} holds blank lines alone; expected a user, then items, on each")
    lengths = np.array([len(line) - 1 for line in lines])
    users = pa.array([line[0] for line in lines]).take(pa.array(np.repeat(np.arange(len(lines)), lengths)))
    items = pa.array([item for line in lines for item in line[1:]])
    places = np.arange(lengths.sum()) - np.repeat(offsets_of(lengths)[:-1], lengths)
    return pa.table({"user": users, "item": items, "timestamp": places})
