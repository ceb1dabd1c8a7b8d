"""The k-core: the largest set of events in which every user and every item has enough of them."""

import numpy as np


def in_k_core(users: np.ndarray, items: np.ndarray, user_k: int, item_k: int) -> np.ndarray:
    """(N,) bool, which events are left when users and items of few events go until none is left to go.

    ``users`` and ``items`` are (N,) int; an event without an item, -1, stays as long as its user does, and
    counts for nobody. ``user_k`` and ``item_k`` are the events they need, repeated ones counted.
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
    counted = codes >= 0 if counted is None else counted
    counts = np.bincount(codes[counted], minlength=codes.max(initial=0) + 1)
    return np.append(counts >= least, True)[codes]
