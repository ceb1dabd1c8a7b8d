"""Leave-last-out: each user's last event is for test, the last but one for validation."""

from pathlib import Path

from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.splits.leave_last_n import last_events
from torchrec_ext.data.splits.parts import Parts, make_parts


@recorded_split
def leave_last_out(events: Events, *, min_count: int = 1, folder: Path | None = None) -> Parts:
    """A user's last event is for test, the last but one for validation, the others for training.

    A user with fewer than three events trains only. Training may learn from events that happened
    after another user's test event: the protocol of most published figures, and a mild leak.

    Events that are only read as history (their type weighs 0, or they lack an item) are not counted.

    Args:
        events: with users; without timestamps, and among simultaneous events, the order of the rows counts.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if no user has three events.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1, 1, 1, 1], "item": ["a", "b", "c", "d"]}))
        >>> [len(part) for part in leave_last_out(events)]
        [2, 1, 1]
    """
    protocol = "leave-last-out: train all but the last two, valid last but one, test last"
    return make_parts(events, last_events(events, 1, 1), protocol, min_count=min_count, folder=folder)
