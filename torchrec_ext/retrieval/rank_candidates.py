"""A ranker's lists: the score of every candidate of a user, best first."""

import numpy as np
import torch
from torch import nn

from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.retrieval.ragged import Ragged
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.top_k import exact_top_k

_PAIRS = 2**24
"""Pairs of user and candidate that are held at a time."""


def rank_candidates(
    model: nn.Module,
    batcher: Batcher,
    rows: np.ndarray,
    users: np.ndarray,
    k: int,
    left_out: Ragged,
    context: Context,
) -> tuple[np.ndarray, np.ndarray]:
    """Scores the candidates of each user; every rank must call it with the same users.

    Args:
        model: a sharded ranker.
        batcher: of the model's inputs and the known events.
        rows: (C,) int64 ascending item rows, the candidates.
        users: (B,) int64 users of the log.
        k: length of the lists, at most C.
        left_out: B lists of item rows that a user must not get.
        context: B rows or values of each context feature.

    Returns:
        (B, k) float32 scores, best first, and (B, k) int64 item rows; -inf and -1 where a list ends.
    """
    step = max(1, _PAIRS // len(rows))
    parts = []
    for start in range(0, len(users), step):
        some = np.arange(start, min(start + step, len(users)))
        own = take_context(context, some)
        parts.append(_rank_few(model, batcher, rows, users[some], k, left_out.take(some), own))
    return np.concatenate([s for s, _ in parts]), np.concatenate([r for _, r in parts])


def _rank_few(
    model: nn.Module,
    batcher: Batcher,
    rows: np.ndarray,
    users: np.ndarray,
    k: int,
    left_out: Ragged,
    context: Context,
) -> tuple[np.ndarray, np.ndarray]:
    allowed = np.ones((len(users), len(rows)), bool)
    owner = left_out.owners
    place = np.minimum(np.searchsorted(rows, left_out.values), len(rows) - 1)
    there = rows[place] == left_out.values
    allowed[owner[there], place[there]] = False
    owner, place = np.nonzero(allowed)
    ends = batcher.known.offsets[users + 1]
    scores = torch.full(allowed.shape, -torch.inf)
    scores[owner, place] = score_pairs(
        model, batcher, users[owner], ends[owner], rows[place], take_context(context, owner)
    )
    best, places = exact_top_k(scores, k)
    return best.numpy(), np.where(places.numpy() >= 0, rows[places.numpy()], -1)
