"""As marked: the data says which part an event belongs to."""

from pathlib import Path

import numpy as np
import pyarrow as pa

from torchrec_ext.data.as_written import shown
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import OUT, TEST, TRAIN, VALID
from torchrec_ext.data.splits.parts import Parts, make_parts
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
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if there is no such column, a mark is missing or another word, or a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> marks = ["train", "train", "Dev", "TEST"]
        >>> visits = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "split": marks})
        >>> [len(part) for part in as_marked(read_events(visits, columns={"split": "split"}))]
        [2, 1, 1]
    """
    marks = events.column(column)
    if marks is None:
        raise InputError(
            f"as_marked needs a column {column!r}; {events.source.name} has "
            f"{', '.join(events.columns)}: read it with columns={{{column!r}: NAME}}"
        )
    if not pa.types.is_dictionary(marks.type):
        raise InputError(f"column {column!r} should hold train, valid and test, not numbers or lists")
    words, codes = events.distinct(column), events.codes(column)
    parts = [_MARKS.get(str(word).strip().lower(), OUT) for word in words]
    part = np.array([*parts, OUT], np.int8)[codes]  # a missing mark has the code -1
    if (part == OUT).any():
        code = codes[np.argmax(part == OUT)]
        what = "has no mark" if code < 0 else f"holds {shown(words[code])}"
        raise InputError(
            f"column {column!r} {what} in {(codes == code).sum():,} rows; expected {', '.join(_MARKS)}: "
            "mend these rows or filter them out"
        )
    protocol = f"as marked in column {column!r}"
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)
