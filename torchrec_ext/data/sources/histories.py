"""Files of a line a user: the user, then the items in the order of the user's history."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.sources.one_line import reading
from torchrec_ext.data.sources.source_file import open_bytes
from torchrec_ext.errors import InputError


def read_histories(path: Path, encoding: str = "utf-8") -> pa.Table:
    """Reads the layout that SASRec and S3-Rec use, such as ``7 12 5 88``.

    Args:
        path: a text file of words with white space between them, which may end in ``.gz``.
        encoding: of the file.

    Returns:
        Columns ``user`` and ``item``, words, and ``timestamp``, the position in the history from 0.

    Raises:
        InputError: if the file is empty, of another encoding, has a line without an item, or has several
            lines of a user that do not follow each other, or are pairs.
    """
    try:
        with reading(path), open_bytes(path) as file:
            text = file.read().decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding.upper()} ({error}); set another encoding=") from error
    numbered = [(number, line.split()) for number, line in enumerate(text.split("\n"), 1)]
    lines = [(number, words) for number, words in numbered if words]
    if not lines:
        raise InputError(f"{path} holds blank lines alone; expected a user, then items, on each")
    for number, words in lines:
        if len(words) == 1:
            raise InputError(f"line {number} of {path} holds a user and no item; expected a user, then items")
    changes = [words for n, (_, words) in enumerate(lines) if not n or lines[n - 1][1][0] != words[0]]
    several = len({words[0] for words in changes}) < len(changes)
    pairs = all(len(words) == 2 for _, words in lines)
    if several or pairs and len(changes) < len(lines):
        raise InputError(
            f"{path} has several lines of one user; expected one line a user, with all items in order. If "
            "each line is a pair, read it with format='csv', delimiter=' ' or '\\t', header=['user', 'item']"
        )
    lengths = np.array([len(words) - 1 for _, words in lines])
    repeated = pa.array(np.repeat(np.arange(len(lines)), lengths))
    users = pa.array([words[0] for _, words in lines]).take(repeated)
    items = pa.array([item for _, words in lines for item in words[1:]])
    first = np.array([not n or lines[n - 1][1][0] != words[0] for n, (_, words) in enumerate(lines)])
    starts = np.repeat(offsets_of(lengths)[:-1][first], np.diff(np.append(np.flatnonzero(first), len(lines))))
    positions = np.arange(lengths.sum()) - np.repeat(starts, lengths)
    return pa.table({"user": users, "item": items, "timestamp": positions})
