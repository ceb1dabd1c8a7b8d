"""Whether timestamps tell a time or only an order."""

import numpy as np

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.coded import Coded
from torchrec_ext.data.source import Order


def order_of(users: Coded | None, times: np.ndarray | None) -> tuple[Order, int]:
    """What the timestamps of events tell, and how many events share user and timestamp with another.

    Timestamps are places in a history if they are whole numbers, none is above the number of its user's
    events, and few are equal.

    Args:
        users: (N,) users of the events; None where all are one's.
        times: (N,) timestamps, or None.
    """
    if times is None:
        return "none", 0
    codes = np.zeros(len(times), np.int32) if users is None else users.codes
    order = by_user_and_time(codes, times)
    same = (codes[order[1:]] == codes[order[:-1]]) & (times[order[1:]] == times[order[:-1]])
    tied = int((np.append(same, False) | np.append(False, same)).sum())
    counts = np.bincount(codes)
    whole = times.min() >= 0 and times.max() <= counts.max() and bool((times == np.floor(times)).all())
    places = whole and bool((times <= counts[codes]).all()) and tied <= 0.1 * len(times)
    return ("order" if places else "time"), tied
