"""The k-core: the largest set of events in which every user and every item has enough of them."""

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.coded import Coded


def k_core(users: Coded, items: Coded, user_k: int, item_k: int) -> np.ndarray:
    """Which events are in the k-core, (N,) bool.

    Users with fewer than ``user_k`` and items with fewer than ``item_k`` events go, again and again until
    none is left to go. The order in which they go does not matter.

    Args:
        users: the users of N events.
        items: their items; an event without one stays as long as its user does, and counts for nobody.
        user_k: events that a user needs, repeated ones counted as often as they are there.
        item_k: events that an item needs.

    Raises:
        InputError: if a number is below 1.

    Example:
        >>> import pandas as pd
        >>> users, items = (Coded.of(pd.Series(list(words))) for words in ("aabbc", "xyxyz"))
        >>> k_core(users, items, 2, 2)
        array([ True,  True,  True,  True, False])
    """
    expect_at_least(1, user_k=user_k, item_k=item_k)
    kept = np.ones(len(users), bool)
    alive: np.ndarray | None = None  # rows that are left; None for all of them
    of_users, of_items = users.codes, items.codes
    while True:
        counted = of_items >= 0
        stays = np.bincount(of_users[counted], minlength=len(users.words))[of_users] >= user_k
        enough = np.bincount(of_items[counted], minlength=len(items.words)) >= item_k
        stays &= np.append(enough, True)[of_items]
        if stays.all():
            return kept
        kept[np.flatnonzero(~stays) if alive is None else alive[~stays]] = False
        alive = np.flatnonzero(stays) if alive is None else alive[stays]
        of_users, of_items = of_users[stays], of_items[stays]
