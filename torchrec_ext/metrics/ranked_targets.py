"""user_metrics(): the metrics of each user, from the ranks of the user's targets."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from torchrec_ext.errors import InputError

BY_K = ("hr", "recall", "precision", "ndcg", "map", "mrr")
"""The metrics of a list length."""


def user_metrics(ranks: Tensor, offsets: Tensor, ks: Sequence[int]) -> dict[str, Tensor]:
    """HR, recall, precision, NDCG, MAP and MRR of each of B users, as :class:`RetrievalReport` defines them.

    Args:
        ranks: (N,) integer or float ranks of the targets, grouped by user; 0 or inf for a target that
            cannot be recommended.
        offsets: (B + 1,) int64 index in ``ranks`` of each user's first target; the last one is N.
        ks: list lengths.

    Returns:
        Name, such as ``ndcg@10``, and (B,) float64 values; those of a user without a target are 0.

    Raises:
        InputError: if the shapes do not match, or for two targets of a user with the same rank.

    Example:
        >>> user_metrics(torch.tensor([1, 4, 0]), torch.tensor([0, 2, 3]), ks=[2])["recall@2"]
        tensor([0.5000, 0.0000], dtype=torch.float64)
    """
    ranks, lengths = ranks.detach().double(), offsets.diff()
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != len(ranks) or (lengths < 0).any():
        raise InputError(f"offsets should rise from 0 to the number of ranks, {len(ranks)}")
    if not (ranks >= 0).all():
        raise InputError("ranks should be 1 or more, or 0 or inf for no rank; one is negative or NaN")
    user = torch.arange(len(lengths), device=ranks.device).repeat_interleave(lengths)
    # Each user's targets, best first; the order of users does not change.
    ranks = torch.where(ranks == 0, math.inf, ranks)
    order = ranks.argsort()
    ranks = ranks[order[user[order].argsort(stable=True)]]
    twice = (ranks[1:] == ranks[:-1]) & (user[1:] == user[:-1]) & ranks[1:].isfinite()
    if twice.any():
        place = int(twice.nonzero()[0])
        raise InputError(
            f"user {int(user[place])} of the batch has two targets of rank {ranks[place]:.0f}; "
            "add each target once"
        )

    def by_user(of_targets: Tensor) -> Tensor:
        return ranks.new_zeros(len(lengths)).index_add_(0, user, of_targets)

    of_user = lengths[user].double()
    nth = torch.arange(1, len(ranks) + 1, device=ranks.device) - offsets[user]
    first = (nth == 1).double()
    gains = torch.arange(2, max(ks, default=0) + 2, device=ranks.device).double().log2().reciprocal()
    ideal = gains.cumsum(0)
    found: dict[str, Tensor] = {}
    for k in ks:
        hit = (ranks <= k).double()
        most = of_user.clamp(max=k)
        values = (
            first * hit,
            hit / of_user,
            hit / k,
            hit / (ranks + 1).log2() / ideal[most.long() - 1],
            hit * nth / ranks / most,
            first * hit / ranks,
        )
        found |= {f"{name}@{k}": by_user(value) for name, value in zip(BY_K, values, strict=True)}
    return {**found, "mrr": by_user(first / ranks)}
