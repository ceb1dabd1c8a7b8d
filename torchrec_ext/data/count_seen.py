"""How many events are of an item that their user has had before."""

import numpy as np

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.events import Events

_ROWS = 2**20
"""Events looked at at a time."""


def count_seen(events: Events, wanted: np.ndarray, known: np.ndarray) -> int:
    """Number of wanted events whose pair of user and item has a known event too.

    Args:
        events: N events.
        wanted: (N,) bool, each with an item.
        known: (N,) bool.

    Returns:
        0 where the data lacks users or items.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data.reading.read import read_events
        >>> events = read_events(pd.DataFrame({"user": list("aab"), "item": [7, 7, 7]}))
        >>> count_seen(events, np.array([False, True, True]), np.array([True, False, False]))
        1
    """
    users, items = events.columns.get("user"), events.columns.get("item")
    if not isinstance(users, Coded) or not isinstance(items, Coded) or not wanted.any() or not known.any():
        return 0

    def pairs(rows: np.ndarray) -> np.ndarray:
        return users.codes[rows].astype(np.int64) * len(items.words) + items.codes[rows]

    distinct, counts = np.unique(pairs(np.flatnonzero(wanted)), return_counts=True)
    found = np.zeros(len(distinct), bool)
    rows = np.flatnonzero(known)
    for start in range(0, len(rows), _ROWS):
        some = pairs(rows[start : start + _ROWS])
        place = np.minimum(np.searchsorted(distinct, some), len(distinct) - 1)
        found[place[distinct[place] == some]] = True
    return int(counts[found].sum())
