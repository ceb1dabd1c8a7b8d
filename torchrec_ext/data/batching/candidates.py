"""Candidates of a softmax: in the batch, sampled, or the whole catalogue; one idea with three sizes."""

from typing import Any, Literal, get_args

import numpy as np

from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.data.dataset import Dataset

Kind = Literal["catalogue", "sampled", "in_batch"]


class Candidates:
    """The items that compete in the softmax, drawn afresh for each rank's batch.

    ``in_batch`` are the distinct targets of the batch; ``sampled`` are these and ``number`` items drawn
    evenly from the catalogue (mixed negative sampling, Yang et al. 2020); ``catalogue`` is every item. The
    loss subtracts an item's ``log_q``, the log-probability that it is among the candidates, from its
    logit (sampling-bias correction, Yi et al. 2019).

    Of more than ``in_batch`` known targets, that many are drawn to compete with every target. The others
    follow as candidates without a ``log_q``, which compete with nothing but the rows they are the target of;
    otherwise the cost would grow with the square of the batch. InputError for an unknown kind or a number
    below 1.

    Args:
        kind: which of the three.
        counts_I: (I,) number of training events of each item; item i has row i + 1.
        number: draws from the catalogue, for ``sampled``.
        catalogue_C: (C,) int64 ascending rows of the catalogue; None for every item.
        in_batch: targets of the batch that compete with every other.
        rank: of this process, if the ranks divide the catalogue, for ``catalogue``.
        ranks: number of processes that divide it, 1 if each has all of it.

    Example:
        >>> targets, rng = np.array([2]), np.random.default_rng(0)
        >>> rows, log_q = Candidates("in_batch", np.array([3, 1])).draw(targets, rng)
        >>> rows, np.exp(log_q)
        (array([2]), array([0.25], dtype=float32))
    """

    def __init__(
        self,
        kind: Kind,
        counts_I: np.ndarray,
        number: int = 512,
        catalogue_C: np.ndarray | None = None,
        in_batch: int = 2048,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        expect_one_of("candidates", kind, get_args(Kind))
        expect_at_least(1, number=number, in_batch=in_batch)
        self.kind, self.counts_I, self.number, self.in_batch = kind, counts_I, number, in_batch
        self._catalogue = np.arange(1, len(counts_I) + 1) if catalogue_C is None else catalogue_C
        self._total = max(counts_I.sum(), 1)
        self.divided = kind == "catalogue" and ranks > 1
        # items without a learnt event have a row too, such as all of a table for catalogue="all"
        self.most_rows = kind == "catalogue" and 2 * len(self._catalogue) > len(counts_I)
        self._ends = np.array([rank, rank + 1]) * len(self._catalogue) // ranks

    @classmethod
    def of(
        cls,
        train: Dataset,
        kind: Kind,
        number: int = 512,
        in_batch: int = 2048,
        rank: int = 0,
        ranks: int = 1,
    ) -> "Candidates":
        """The items that a training part has learnt from, with the number of events that are learnt."""
        items = len(train.preparation.vocabularies["item"])
        counts = np.bincount(train.events.target_items(), minlength=items)[1:]
        catalogue = np.flatnonzero(train.preparation.trained.items)
        return cls(kind, counts, number, catalogue, in_batch, rank, ranks)

    def compete(self, targets_N: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
        """The ``candidates``, their ``labels`` and so on, of a batch with these targets, see :meth:`draw`."""
        shared, log_q = self.draw(targets_N, rng)
        labels = places(targets_N, shared)
        if self.divided:
            first, end = self._ends
            return {"candidates": shared[first:end], "labels": labels, "first_candidate": np.array(first)}
        alone = np.flatnonzero((labels < 0) & (targets_N > 0)) if self.kind != "catalogue" else ()
        if not len(alone):
            return {"candidates": shared, "labels": labels, "log_q": log_q}
        others, labels[alone] = np.unique(targets_N[alone], return_inverse=True)
        labels[alone] += len(shared)
        return {"candidates": np.concatenate([shared, others]), "labels": labels, "log_q": log_q}

    def draw(self, targets_N: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray | None]:
        """Candidates for a batch of (N,) int64 target rows, of which 0, unknown items, are passed over.

        Returns:
            (S,) int64 ascending item rows that compete with every target, S at least 1, and their (S,)
            float32 ``log_q``, None for zeros.
        """
        if self.kind == "catalogue":
            return self._catalogue, None
        items = len(self._catalogue)
        known = targets_N[targets_N > 0]
        if len(known) > self.in_batch:
            known = rng.choice(known, self.in_batch, replace=False, shuffle=False)
        sampled = self._catalogue[rng.integers(0, items, self.number if self.kind == "sampled" else 0)]
        rows = np.unique(np.concatenate([known, sampled]))
        if not len(rows):
            rows = self._catalogue[:1]  # a batch without a known target: nothing is learnt, any item will do
        popularity = self.counts_I[rows - 1] / self._total
        # an item is absent when no target and no draw is the item
        absent = len(known) * _log_other(popularity) + len(sampled) * _log_other(np.array(1 / items))
        return rows, np.log(np.maximum(-np.expm1(absent), 1e-12)).astype(np.float32)


def places(targets_N: np.ndarray, rows_C: np.ndarray) -> np.ndarray:
    """(N,) int64 place of each target among ascending candidate rows, -1 for one that is not there."""
    if len(rows_C) == rows_C[-1] - rows_C[0] + 1:  # the whole catalogue, where a place needs no search
        return np.where((targets_N >= rows_C[0]) & (targets_N <= rows_C[-1]), targets_N - rows_C[0], -1)
    found = np.searchsorted(rows_C, targets_N)
    found[rows_C[np.minimum(found, len(rows_C) - 1)] != targets_N] = -1
    return found


def _log_other(probability: np.ndarray) -> np.ndarray:
    """Log-probability that one draw is not the item of this probability."""
    return np.log1p(-np.minimum(probability, 1 - 1e-9))
