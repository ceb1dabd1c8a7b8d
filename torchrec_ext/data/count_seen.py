"""How many events are of an item that their user has had before."""

import numpy as np

from torchrec_ext.data.events import Events

_ROWS = 1 << 20
"""Events looked at at a time."""


def count_seen(events: Events, wanted: np.ndarray, known: np.ndarray) -> int:
    """Number of wanted events whose pair of user and item has a known event too.

    Args:
        events: N events with users and items.
        wanted: (N,) bool, each with an item.
        known: (N,) bool.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": list("aab"), "item": [7, 7, 7]}))
        >>> count_seen(events, np.array([False, True, True]), np.array([True, False, False]))
        1
    """
    users, items, of_a_user = events.codes("user"), events.codes("item"), len(events.distinct("item"))

    def pairs(rows: slice, mask: np.ndarray) -> np.ndarray:
        chosen = mask[rows]
        return users[rows][chosen].astype(np.int64) * of_a_user + items[rows][chosen]

    asked, counts = np.unique(pairs(slice(None), wanted), return_counts=True)
    if not len(asked):
        return 0
    # most known events are of no asked pair; a look into a table of hashes tells, without a search
    bits = min((16 * len(asked)).bit_length(), 26)

    def hashes(of: np.ndarray) -> np.ndarray:
        return (of.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)

    hashed = np.zeros(1 << bits, bool)
    hashed[hashes(asked)] = True
    found = np.zeros(len(asked), bool)
    for start in range(0, len(events), _ROWS):
        some = pairs(slice(start, start + _ROWS), known)
        some = some[hashed[hashes(some)]]
        places = np.minimum(np.searchsorted(asked, some), len(asked) - 1)
        found[places[asked[places] == some]] = True
    return int(counts[found].sum())
