"""within_groups(): AUC, MRR and NDCG of pairs among those of their group, such as an impression."""

import math
from collections.abc import Sequence

import numpy as np


def within_groups(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray, ks: Sequence[int] = (5, 10)
) -> dict[str, float]:
    """The means over groups that have both a positive and another pair.

    Of pairs with equal scores each has the mean of their ranks, so that the order of the pairs never counts.

    Args:
        scores: (N,) floats, higher is better.
        labels: (N,) 0 or 1.
        groups: (N,) number of the group of each pair; pairs with NaN are left out.
        ks: of ``ndcg@k``.

    Returns:
        ``groups``, their number; ``group_auc``; ``group_mrr``, the mean of 1 / rank of a group's positives;
        and ``group_ndcg@k``. NaN without such a group.

    Source:
        "MIND: A Large-scale Dataset for News Recommendation" (Wu et al. 2020, section 4.1).

    Example:
        >>> shown = np.array([7, 7, 7])
        >>> found = within_groups(np.array([0.9, 0.5, 0.1]), np.array([0, 1, 0]), shown, ks=(1, 2))
        >>> {name: round(value, 3) for name, value in found.items()}
        {'groups': 1, 'group_auc': 0.5, 'group_mrr': 0.5, 'group_ndcg@1': 0.0, 'group_ndcg@2': 0.631}
    """
    there = ~np.isnan(groups)
    positive = labels[there] > 0
    _, group = np.unique(groups[there], return_inverse=True)
    levels, level = np.unique(scores[there], return_inverse=True)
    positives, pairs = np.bincount(group, positive), np.bincount(group)
    mixed = (positives > 0) & (positives < pairs)
    count = int(mixed.sum())
    if not count:
        names = ("group_auc", "group_mrr", *(f"group_ndcg@{k}" for k in ks))
        return {"groups": 0, **dict.fromkeys(names, math.nan)}
    keys = group * len(levels) + level
    chosen = np.flatnonzero(positive & mixed[group])
    mine, own = group[chosen], keys[chosen]
    ends = np.cumsum(pairs)[mine]
    order = np.sort(keys)
    below, up_to = (np.searchsorted(order, own, side) for side in ("left", "right"))
    ranks = ends - up_to + (up_to - below + 1) / 2
    others = np.sort(keys[~positive])
    first = np.searchsorted(others, mine * len(levels))
    lower, not_higher = (np.searchsorted(others, own, side) - first for side in ("left", "right"))
    wins = (lower + not_higher) / 2 / (pairs - positives)[mine]

    def mean(values: np.ndarray, per: np.ndarray) -> float:
        """The mean over groups of the sum of the values of their positives, over ``per``."""
        return float((np.bincount(mine, values, len(pairs))[mixed] / per[mixed]).mean())

    ideal = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, max(ks) + 2)))])
    figures = {"groups": count, "group_auc": mean(wins, positives), "group_mrr": mean(1 / ranks, positives)}
    for k in ks:
        gains = np.where(ranks <= k, 1 / np.log2(ranks + 1), 0)
        figures[f"group_ndcg@{k}"] = mean(gains, ideal[np.minimum(positives, k).astype(int)])
    return figures
