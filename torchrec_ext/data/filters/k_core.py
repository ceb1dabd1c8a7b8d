"""The k-core: the largest set of events in which every user and every item has enough of them."""

import numpy as np


def in_k_core(users: np.ndarray, items: np.ndarray, user_k: int, item_k: int) -> np.ndarray:
    """(N,) bool, which events are left when users and items of few events go until none is left to go.

    Args:
        users: (N,) code of each event's user.
        items: (N,) code of its item; an event without one, -1, stays as long as its user does, and counts
            for nobody.
        user_k: events that a user needs, repeated ones counted as often as they are there.
        item_k: events that an item needs.

    Example:
        >>> in_k_core(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2]), 2, 2)
        array([ True,  True,  True,  True, False])
    """
    kept = np.zeros(len(users), bool)
    left = np.arange(len(users), dtype=np.int32)
    while True:
        stays = have_enough(users, user_k, counted=items >= 0) & have_enough(items, item_k)
        if stays.all():
            kept[left] = True
            return kept
        left, users, items = left[stays], users[stays], items[stays]


def have_enough(codes: np.ndarray, least: int, counted: np.ndarray | None = None) -> np.ndarray:
    """(N,) bool, which codes occur often enough, among those counted; a missing one, -1, always does."""
    counts = np.bincount(
        codes[codes >= 0 if counted is None else counted], minlength=codes.max(initial=0) + 1
    )
    return np.append(counts >= least, True)[codes]
