"""Scorer: query and candidate vectors to scores."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Scorer(nn.Module, ABC):
    """Query and candidate vectors to scores.

    ``indexable`` is True if a nearest-neighbour index can serve the scorer. It then also has
    ``index_vectors(vectors_ND)``, whose dot products are the scores: a cosine is the dot product of
    normalized vectors. A model builds it as ``cls(dim=D, **arguments)``.
    """

    indexable: bool

    @abstractmethod
    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """Scores each query with each of its candidates.

        Args:
            queries_BD: ``(B, D)`` queries.
            candidates: ``(C, D)`` candidates of all queries, or ``(B, C, D)`` candidates of each query.

        Returns:
            ``(B, C)`` scores.
        """
