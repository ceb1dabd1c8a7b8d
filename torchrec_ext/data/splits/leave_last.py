"""Leave-last: the last events of each user are for validation and test."""

from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import TEST, TRAIN, VALID
from torchrec_ext.data.splits.parts import Parts, make_parts


@recorded_split
def leave_last_out(events: Events, *, min_count: int = 1, folder: Path | None = None) -> Parts:
    """A user's last event is for test, the last but one for validation, the others for training.

    A user with fewer than three events trains only. Training may learn from events that happened after
    another user's test event: the protocol of most published figures, and a mild leak. Events that are only
    read as history (their type weighs 0, or they lack an item) are not counted.

    Args:
        events: with users; without timestamps, and among simultaneous events, the order of the rows counts.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log, as of every split.

    Raises:
        InputError: if a part is empty, as of every split.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 4, "item": list("abcd")}))
        >>> [len(part) for part in leave_last_out(events)]
        [2, 1, 1]
    """
    protocol = "leave-last-out: train all but the last two, valid last but one, test last"
    return make_parts(events, _last_events(events, 1, 1), protocol, min_count=min_count, folder=folder)


@recorded_split
def leave_last_n(
    events: Events, valid: int = 1, test: int = 1, *, min_count: int = 1, folder: Path | None = None
) -> Parts:
    """As ``leave_last_out``, with a user's last ``test`` events and the ``valid`` ones before them.

    A user with fewer than ``valid + test + 1`` events trains only. A test event's history holds the training
    and the validation events, not the test events before it.

    Args:
        events: with users.
        valid: number of events of each user for validation.
        test: number of events of each user for test.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if a number is below 1 or a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 6, "item": list("abcdef")}))
        >>> [len(part) for part in leave_last_n(events, valid=1, test=2)]
        [3, 1, 2]
    """
    expect_at_least(1, valid=valid, test=test)
    protocol = f"leave-last-n: test the last {test}, valid the {valid} before, train the others"
    part = _last_events(events, valid, test)
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)


def _last_events(events: Events, valid: int, test: int) -> np.ndarray:
    """(N,) int8 part of each event."""
    of_user, left = count_targets(events)
    part = np.full(len(events), TRAIN, np.int8)
    for number, last in ((VALID, valid + test), (TEST, test)):
        part[events.by_user_and_time[(of_user > valid + test) & (left < last)]] = number
    return part


def count_targets(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int32 number of targets of its user, and of those that follow, for each event by user and time."""
    order = events.by_user_and_time
    events.release_pages()
    targets, users, known = events.is_target(), events.codes("user"), len(events.distinct("user"))
    counts = np.bincount(users[targets], minlength=known).astype(np.int32)
    lengths = np.bincount(users, minlength=known)
    until_end = np.repeat(np.cumsum(counts, dtype=np.int32), lengths)
    return np.repeat(counts, lengths), until_end - np.cumsum(targets[order], dtype=np.int32)
