"""Windows: histories cut into slices of a bounded length."""

import numpy as np

from torchrec_ext.data.event_log import EventLog


def cut_windows(log: EventLog, length: int, spare: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slices that hold each event of a user exactly once, but for the user's newest ``spare`` events.

    All windows of a history are ``length`` long, but the first, which may be shorter.

    Args:
        log: the events.
        length: of the longest window.
        spare: newest events of each user that are in no window.

    Returns:
        User, start and end of each window, each (n,) int64.
    """
    held = np.maximum(np.diff(log.offsets) - spare, 0)
    windows = -(-held // length)
    users = np.repeat(np.arange(len(held)), windows)
    following = np.cumsum(windows)[users] - 1 - np.arange(len(users))  # windows of the user after this one
    ends = log.offsets[users] + held[users] - following * length
    return users, log.recent(users, ends, length), ends
