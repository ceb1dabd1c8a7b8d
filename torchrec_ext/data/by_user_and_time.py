"""The order of events by user and time."""

import numpy as np


def by_user_and_time(users: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Where the events stand in the order of user and time; those that share both keep their order.

    Args:
        users: (N,) int, the user of each event.
        times: (N,) times or places in a history; None keeps the order of the rows.

    Returns:
        (N,) int64 rows.

    Example:
        >>> by_user_and_time(np.array([1, 0, 1]), np.array([5, 9, 4]))
        array([1, 2, 0])
    """
    # a log is often kept in order of time; then half the memory and the time will do
    if times is None or bool((times[1:] >= times[:-1]).all()):
        return np.argsort(users, kind="stable")
    return np.lexsort((times, users))
