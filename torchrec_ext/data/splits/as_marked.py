"""As marked: the data says which part an event belongs to."""

from pathlib import Path

import numpy as np

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.shown import shown
from torchrec_ext.data.splits.parts import TEST, TRAIN, VALID, Parts, make_parts
from torchrec_ext.errors import InputError

_MARKS = {
    "train": TRAIN, "training": TRAIN,
    "valid": VALID, "validation": VALID, "val": VALID, "dev": VALID,
    "test": TEST, "testing": TEST,
}  # fmt: skip


@recorded_split
def as_marked(
    events: Events, column: str = "split", *, min_count: int = 1, folder: Path | None = None
) -> Parts:
    """Takes the data's own split, from a column that marks each event.

    Args:
        events: with the column.
        column: holds train, valid (or validation, val, dev) or test, in small or large letters.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if there is no such column, a mark is missing or another word, or a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> marks = ["train", "train", "Dev", "TEST"]
        >>> visits = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "split": marks})
        >>> events = read_events(visits, columns={"split": "split"})
        >>> [len(part) for part in as_marked(events)]
        [2, 1, 1]
    """
    marks = events.columns.get(column)
    if marks is None:
        raise InputError(
            f"as_marked needs a column {column!r}; {events.source.name} has {', '.join(events.columns)}: "
            f"read it with columns={{{column!r}: NAME}}"
        )
    if not isinstance(marks, Coded):
        raise InputError(
            f"column {column!r} should hold the words train, valid and test, not numbers or lists"
        )
    parts = np.array([_MARKS.get(str(word).strip().lower(), -1) for word in marks.words], np.int8)
    counts = marks.counts()
    unknown = np.flatnonzero((parts < 0) & (counts > 0))
    if len(unknown):
        raise InputError(
            f"column {column!r} holds {shown(marks.words[unknown[0]])} in {counts[unknown[0]]:,} rows; "
            f"expected {', '.join(_MARKS)}: mend these rows or filter them out"
        )
    if missing := int((marks.codes < 0).sum()):
        raise InputError(
            f"column {column!r} has no mark in {missing:,} rows; expected {', '.join(_MARKS)}: mend these "
            "rows or filter them out"
        )
    return make_parts(
        events, parts[marks.codes], f"as marked in column {column!r}", min_count=min_count, folder=folder
    )
