"""Exploration: now and then a list of random candidates, with the probability of what is shown."""

import numpy as np


def explore(
    rows: np.ndarray, k: int, epsilon: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Epsilon-greedy over candidates: with the probability ``epsilon`` k of them at random, else the k best.

    Args:
        rows: (n,) candidates, best first.
        k: how many are shown.
        epsilon: from 0, which always shows the best.
        rng: decides.

    Returns:
        (m,) int64 places of the candidates shown, and (m,) the probability that each was shown at its place.

    Example:
        >>> explore(np.array([7, 8, 9, 10]), 2, 0.2, np.random.default_rng(0))
        (array([0, 1]), array([0.85, 0.85]))
    """
    count = min(k, len(rows))
    greedy, by_chance = np.arange(count), epsilon / max(len(rows), 1)
    shown = greedy
    if rng.random() < epsilon:
        shown = rng.permutation(len(rows))[:count]
    return shown, by_chance + (1 - epsilon) * (shown == greedy)
