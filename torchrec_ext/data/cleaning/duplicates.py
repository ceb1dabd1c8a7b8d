"""Repeated pairs: several events of one user with one item."""

from typing import Literal

import numpy as np
import pandas as pd

from torchrec_ext.data.events import Events


def repeated(events: Events, keep: Literal["first", "last"]) -> np.ndarray:
    """Which events have an earlier (a later) one of the same user with the same item, (N,) bool.

    Args:
        events: N events; without timestamps the order of the rows is that of time, as among equal ones.
        keep: ``first`` marks all but the first of each pair, ``last`` all but the last.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> plays = pd.DataFrame({"user": [1, 1, 1], "item": ["a", "b", "a"]})
        >>> repeated(read_events(plays), keep="last")
        array([ True, False, False])
    """
    users, items, times = events.ids("user"), events.ids("item"), events.numbers("timestamp")
    pairs = users.codes.astype(np.int64)
    pairs *= len(items.words)
    pairs += items.codes
    itemless = np.flatnonzero(items.codes < 0)
    pairs[itemless] = -1 - itemless  # each a pair of its own
    if times is None or bool((times[1:] >= times[:-1]).all()):
        return pd.Series(pairs, copy=False).duplicated(keep=keep).to_numpy()
    by_time = np.argsort(times, kind="stable")
    marked = np.empty(len(pairs), dtype=bool)
    marked[by_time] = pd.Series(pairs[by_time], copy=False).duplicated(keep=keep).to_numpy()
    return marked
