"""Re-ranking: lists whose items differ from each other, and hold at most so many of a kind."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def rerank(
    scores: np.ndarray,
    k: int,
    *,
    diversity: float = 0.0,
    vectors: np.ndarray | None = None,
    most: int | None = None,
    kinds: Sequence[Sequence[Hashable]] = (),
) -> np.ndarray:
    """Takes one candidate after the other, each time the best of those that are left.

    The best has the largest maximal marginal relevance: ``(1 - diversity) * score - diversity * similarity``,
    where scores are scaled to 0 to 1 and the similarity is the largest cosine with an item that was taken.

    Args:
        scores: (n,) of the candidates.
        k: how many to take; fewer where ``most`` leaves fewer.
        diversity: from 0, which keeps the order of the scores, to 1, which regards similarity alone.
        vectors: (n, D) of the candidates, needed if ``diversity`` is above 0.
        most: how many items of one kind are taken; None for any number.
        kinds: the kinds of each of the n candidates.

    Returns:
        (m,) int64 places of the candidates taken, in their new order.

    Source:
        Carbonell and Goldstein, The Use of MMR (SIGIR 1998).

    Example:
        >>> vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
        >>> rerank(np.array([3.0, 2.9, 2.0]), 2, diversity=0.5, vectors=vectors)
        array([0, 2])
        >>> rerank(np.array([3.0, 2.9, 2.0]), 3, most=1, kinds=[["jazz"], ["jazz", "live"], ["rock"]])
        array([0, 2])
    """
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    relevance = (scores - low) / (high - low) if high > low else np.ones(len(scores))
    similarity, count = np.zeros(len(scores)), Counter[Hashable]()
    taken: list[int] = []
    left = np.ones(len(scores), bool)
    unit = None
    if diversity > 0:
        assert vectors is not None
        unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    while len(taken) < k and left.any():
        margin = (1 - diversity) * relevance - diversity * similarity
        place = int(np.argmax(np.where(left, margin, -np.inf)))
        left[place] = False
        own = kinds[place] if most is not None else ()
        if most is not None and any(count[kind] >= most for kind in own):
            continue
        count.update(own)
        taken.append(place)
        if unit is not None:
            cosines = unit @ unit[place]
            similarity = cosines if len(taken) == 1 else np.maximum(similarity, cosines)
    return np.array(taken, np.int64)
