"""The dot product of query and candidate."""

from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Scorer


class DotScorer(Scorer):
    """The dot product of a query and each of its candidates; an index serves it.

    Args:
        dim: D, width of the vectors.

    Example:
        >>> import torch
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
        if candidates.dim() == 2:
            expect_shape("candidates", candidates, ("candidates", self.dim))
            return queries_BD @ candidates.T
        expect_shape("candidates", candidates, (queries_BD.shape[0], "candidates", self.dim))
        return (candidates @ queries_BD.unsqueeze(2)).squeeze(2)

    def index_vectors(self, vectors_ND: Tensor) -> Tensor:
        """``(N, D)`` queries or candidates to the vectors whose dot products are the scores: the same."""
        return vectors_ND
