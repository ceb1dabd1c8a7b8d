"""Bootstrap over users: how much a figure would vary with other users of the same kind."""

from collections.abc import Iterator, Sequence

import numpy as np

from torchrec_ext.reporting.user_figures import UserFigures

_NUMBERS = 2**22
"""Weights in memory at a time."""


def resampled_weights(users: int, resamples: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Blocks of (R, users) float64: how often each user is drawn, with replacement, in R resamples.

    Args:
        users: number of users, as many as are drawn.
        resamples: number of resamples over all blocks.
        seed: the same seed draws the same users, so that differences of runs are paired.

    Source:
        B. Efron, R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 6.

    Example:
        >>> [block.sum(1).tolist() for block in resampled_weights(5, 2)]
        [[5.0, 5.0]]
    """
    rng = np.random.default_rng(seed)
    step = max(1, _NUMBERS // max(users, 1))
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(users, size=(rows, users)) + users * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * users).reshape(rows, users).astype(np.float64)


def bootstrap(
    figures: Sequence[UserFigures], resamples: int, seed: int = 0, groups: np.ndarray | None = None
) -> np.ndarray:
    """(resamples, runs, groups, F) figures of the same resamples of users for every run.

    Args:
        figures: of each run, of the same U users.
        resamples: how many.
        seed: of the draws.
        groups: (G, U) bool masks of users; None for one group of all.
    """
    users = figures[0].sums_FU.shape[1]
    masks = np.ones((1, users)) if groups is None else groups.astype(np.float64)
    blocks = [
        np.array([[run.weighted(weights * mask) for mask in masks] for run in figures])
        for weights in resampled_weights(users, resamples, seed)
    ]
    return np.moveaxis(np.concatenate(blocks, axis=2), 2, 0)


def interval(samples: np.ndarray) -> np.ndarray:
    """(2, ...) bounds of 95% by percentiles of the resamples, which are the first axis.

    Example:
        >>> interval(np.arange(101.0))
        array([ 2.5, 97.5])
    """
    return np.nanpercentile(samples, [2.5, 97.5], axis=0)
