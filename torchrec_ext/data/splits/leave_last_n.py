"""Leave-last-n: the last events of each user are for validation and test."""

from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.splits.parts import TEST, TRAIN, VALID, Parts, make_parts
from torchrec_ext.data.splits.places import places_from_end


@recorded_split
def leave_last_n(
    events: Events, valid: int = 1, test: int = 1, *, min_count: int = 1, folder: Path | None = None
) -> Parts:
    """A user's last ``test`` events are for test, the ``valid`` before them for validation.

    A user with fewer than ``valid + test + 1`` events trains only. As with ``leave_last_out``, training
    may learn from events that happened after another user's test event. A test event's history holds
    the training and the validation events, not the test events before it.

    Events that are only read as history (their type weighs 0, or they lack an item) are not counted.

    Args:
        events: with timestamps, or in the order of their rows; simultaneous events keep the order of
            their rows.
        valid: number of events of each user for validation.
        test: number of events of each user for test.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if a number is below 1 or no user has enough events.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 6, "item": list("abcdef")}))
        >>> [len(part) for part in leave_last_n(events, valid=1, test=2)]
        [3, 1, 2]
    """
    expect_at_least(1, valid=valid, test=test)
    protocol = f"leave-last-n: test the last {test}, valid the {valid} before, train the others"
    return make_parts(events, last_events(events, valid, test), protocol, min_count=min_count, folder=folder)


def last_events(events: Events, valid: int, test: int) -> np.ndarray:
    """(N,) int8 part of each event, see :func:`leave_last_n`."""
    later, count = places_from_end(events)
    part = np.full(len(events), TRAIN, np.int8)
    enough = count > valid + test
    part[enough & (later < valid + test)] = VALID
    part[enough & (later < test)] = TEST
    return part
