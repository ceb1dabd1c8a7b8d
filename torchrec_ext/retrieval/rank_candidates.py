"""A ranker's lists: the score of every candidate of a user, best first."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.retrieval.known_users import KnownUsers
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.top_k import exact_top_k

_PAIRS = 2**24
"""Pairs of user and candidate that are held at a time."""


class CandidateRanker:
    """Ranks the candidates of users.

    Args:
        model: a sharded ranker.
        batcher: of the model's inputs and the known events.
        known: finds users.
        rows: (C,) int64 ascending item rows that may be recommended.
        pairs: columns ``user`` and ``item``, each user's own candidates among ``rows``; None for all.
    """

    def __init__(
        self,
        model: nn.Module,
        batcher: Batcher,
        known: KnownUsers,
        rows: np.ndarray,
        pairs: pd.DataFrame | None,
    ) -> None:
        self.model, self.batcher, self.rows = model, batcher, rows
        self.owners: np.ndarray | None = None
        if pairs is not None:
            items = batcher.preparation.vocabularies["item"].rows(pairs["item"])
            there = np.isin(items, rows)
            owners, places = known.find(pairs["user"])[there], np.searchsorted(rows, items[there])
            order = np.argsort(owners, kind="stable")
            self.owners, self.places = owners[order], places[order]

    def search(
        self, users: np.ndarray, k: int, seen: tuple[np.ndarray, np.ndarray] | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scores the candidates of each user; every rank must call it.

        Args:
            users: (B,) int64 users of the log.
            k: length of the lists.
            seen: flat item rows to leave out and their (B + 1,) offsets, or None.

        Returns:
            (B, k) float32 scores, best first, and (B, k) int64 item rows; -inf and -1 where a list ends.
        """
        step = max(1, _PAIRS // len(self.rows))
        parts = []
        for start in range(0, len(users), step):
            chosen = users[start : start + step]
            if seen is None:
                parts.append(self._few(chosen, k, np.zeros(0, np.int64), np.zeros(len(chosen) + 1, np.int64)))
            else:
                offsets = seen[1][start : start + len(chosen) + 1]
                parts.append(self._few(chosen, k, seen[0][offsets[0] : offsets[-1]], offsets - offsets[0]))
        return np.concatenate([s for s, _ in parts]), np.concatenate([r for _, r in parts])

    def _few(
        self, users: np.ndarray, k: int, seen: np.ndarray, offsets: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        allowed = self._allowed(users)
        user = np.repeat(np.arange(len(users)), np.diff(offsets))
        place = np.minimum(np.searchsorted(self.rows, seen), len(self.rows) - 1)
        there = self.rows[place] == seen
        allowed[user[there], place[there]] = False
        user, place = np.nonzero(allowed)
        ends = self.batcher.known.offsets[users + 1]
        scores = torch.full(allowed.shape, -torch.inf)
        scores[user, place] = score_pairs(self.model, self.batcher, users[user], ends[user], self.rows[place])
        best, places = exact_top_k(scores, k)
        return best.numpy(), np.where(places.numpy() >= 0, self.rows[places.numpy()], -1)

    def _allowed(self, users: np.ndarray) -> np.ndarray:
        """(B, C) bool, which of the candidates are the user's."""
        if self.owners is None:
            return np.ones((len(users), len(self.rows)), bool)
        allowed = np.zeros((len(users), len(self.rows)), bool)
        first = np.searchsorted(self.owners, users)
        lengths = np.searchsorted(self.owners, users, side="right") - first
        own = np.repeat(np.arange(len(users)), lengths)
        allowed[own, self.places[slice_positions(first, first + lengths)]] = True
        return allowed
