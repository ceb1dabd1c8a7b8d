"""Scorer: query and candidate vectors to scores."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Scorer(nn.Module, ABC):
    """Query and candidate vectors to scores.

    ``indexable`` is True if a nearest-neighbour index can serve the scorer. It then also has
    ``index_vectors(vectors_ND)``, whose dot products are the scores: a cosine is the dot product of
    normalised vectors. A model builds it as ``cls(dim=D, **arguments)``.
    """

    indexable: bool

    @abstractmethod
    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""
