"""A ranker's lists: the score of every candidate of a user, best first."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from torchrec_ext.data.batches import Batcher
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.top_k import exact_top_k


def rank_candidates(
    model: nn.Module,
    batcher: Batcher,
    known: KnownUsers,
    users: np.ndarray,
    k: int,
    seen: tuple[np.ndarray, np.ndarray] | None,
    rows: np.ndarray,
    pairs: pd.DataFrame | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores the candidates of each user; every rank must call it.

    Args:
        model: a sharded ranker.
        batcher: of the model's inputs and the known events.
        known: finds users.
        users: (B,) int64 users of the log.
        k: length of the lists.
        seen: flat item rows to leave out and their (B + 1,) offsets, or None.
        rows: (C,) int64 ascending item rows that may be recommended.
        pairs: columns ``user`` and ``item``, each user's own candidates among ``rows``, or None for all.

    Returns:
        (B, k) float32 scores, best first, and (B, k) int64 item rows; -inf and -1 where a list has ended.
    """
    allowed = _allowed(batcher, known, users, rows, pairs)
    if seen is not None:
        user = np.repeat(np.arange(len(users)), np.diff(seen[1]))
        place = np.searchsorted(rows, seen[0])
        there = (place < len(rows)) & (rows[np.minimum(place, len(rows) - 1)] == seen[0])
        allowed[user[there], place[there]] = False
    user, place = np.nonzero(allowed)
    ends = batcher.known.offsets[users + 1]
    scores = torch.full(allowed.shape, -torch.inf)
    scores[user, place] = score_pairs(model, batcher, users[user], ends[user], rows[place])
    best, places = exact_top_k(scores, k)
    return best.numpy(), np.where(places.numpy() >= 0, rows[places.numpy()], -1)


def _allowed(
    batcher: Batcher, known: KnownUsers, users: np.ndarray, rows: np.ndarray, pairs: pd.DataFrame | None
) -> np.ndarray:
    """(B, C) bool, which of the candidates are the user's."""
    if pairs is None:
        return np.ones((len(users), len(rows)), bool)
    allowed = np.zeros((len(users), len(rows)), bool)
    order = np.argsort(users)
    owner, item = known.find(pairs["user"]), batcher.preparation.vocabularies["item"].rows(pairs["item"])
    found = np.searchsorted(users[order], owner)
    mine = (found < len(users)) & (users[order][np.minimum(found, len(users) - 1)] == owner) & (item > 0)
    allowed[order[found[mine]], np.searchsorted(rows, item[mine])] = True
    return allowed
