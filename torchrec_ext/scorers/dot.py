"""The dot product of query and candidate."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Scorer


class DotScorer(Scorer):
    """The dot product of a query and each of its candidates; indexable.

    Args:
        dim: D, width of the vectors.

    Example:
        >>> queries = torch.tensor([[1.0, 2.0]])
        >>> DotScorer(dim=2)(queries, torch.tensor([[3.0, 4.0], [5.0, 6.0]]))
        tensor([[11., 17.]])
    """

    indexable = True

    def __init__(self, dim: int) -> None:
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim = dim

    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""
        expect_shape("queries_BD", queries_BD, ("batch", self.dim))
        return _dot_products(queries_BD, candidates)

    def index_vectors(self, vectors_ND: Tensor) -> Tensor:
        """``(N, D)`` queries or candidates to the same vectors: their dot products are the scores."""
        return vectors_ND


@torch.fx.wrap  # a symbolic trace cannot branch on the number of axes
def _dot_products(queries_BD: Tensor, candidates: Tensor) -> Tensor:
    batch, dim = queries_BD.shape
    if candidates.dim() == 2:
        expect_shape("candidates", candidates, ("candidates", dim))
        return queries_BD @ candidates.T
    expect_shape("candidates", candidates, (batch, "candidates", dim))
    return (candidates @ queries_BD.unsqueeze(2)).squeeze(2)
