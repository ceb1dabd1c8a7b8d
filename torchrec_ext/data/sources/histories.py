"""Files of a line a user: the user, then the items in the order of the user's history."""

from itertools import groupby
from pathlib import Path

import pyarrow as pa

from torchrec_ext.data.sources.one_line import reading
from torchrec_ext.data.sources.source_file import open_bytes
from torchrec_ext.errors import InputError


def read_histories(path: Path, encoding: str = "utf-8") -> pa.Table:
    """Reads the layout that SASRec and S3-Rec use, such as ``7 12 5 88``: words with white space between.

    Columns ``user`` and ``item`` hold words, ``timestamp`` the position in the history from 0. Lines of a
    user that follow each other are one history.
    """
    try:
        with reading(path), open_bytes(path) as file:
            text = file.read().decode(encoding).removeprefix("\ufeff")
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding.upper()} ({error}); set another encoding=") from error
    lines = [words for line in text.split("\n") if (words := line.split())]
    if not lines:
        raise InputError(f"{path} holds blank lines alone; expected a user, then items, on each")
    if any(len(words) == 1 for words in lines):
        number = next(n for n, line in enumerate(text.split("\n"), 1) if len(line.split()) == 1)
        raise InputError(f"line {number} of {path} holds a user and no item; expected a user, then items")
    histories = [
        (user, [item for _, *items in own for item in items])
        for user, own in groupby(lines, key=lambda words: words[0])
    ]
    several = len({user for user, _ in histories}) < len(histories)
    pairs = all(len(words) == 2 for words in lines)
    if several or pairs and len(histories) < len(lines):
        raise InputError(
            f"{path} has several lines of one user; expected one line a user, with all items in order. If "
            "each line is a pair, read it with format='csv', delimiter=' ' or '\\t', header=['user', 'item']"
        )
    rows = [(user, item, place) for user, items in histories for place, item in enumerate(items)]
    return pa.table(dict(zip(("user", "item", "timestamp"), zip(*rows, strict=True), strict=True)))
