"""Where events stand in their user's history."""

import numpy as np

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.events import Events


def places_from_end(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """How many of its user's events are later than each event, and how many each user has.

    Events that are only read as history, such as searches, have a place but are not counted.

    Args:
        events: N events of U users; simultaneous ones keep the order of their rows, without timestamps all.

    Returns:
        (N,) int32, and (N,) int32 number of counted events of each event's user.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data.reading.read import read_events
        >>> places_from_end(read_events(pd.DataFrame({"user": ["a", "b", "a"], "item": [7, 8, 9]})))
        (array([1, 0, 0], dtype=int32), array([2, 1, 2], dtype=int32))
    """
    users, times = events.ids("user"), events.numbers("timestamp")
    codes = users.codes
    order = by_user_and_time(codes, times)
    counted = is_target(events)
    counts = np.bincount(codes[counted], minlength=len(users.words)).astype(np.int32)
    later = np.empty(len(codes), np.int32)
    later[order] = np.cumsum(counts, dtype=np.int32)[codes[order]] - np.cumsum(counted[order], dtype=np.int32)
    return later, counts[codes]


def is_target(events: Events) -> np.ndarray:
    """(N,) bool, which events may be learnt or predicted; the others are only read as history."""
    weights = events.target_weights()
    return np.ones(len(events), bool) if weights is None else weights > 0
