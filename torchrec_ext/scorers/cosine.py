"""The cosine of query and candidate, divided by a temperature."""

from torch import Tensor
from torch.nn import functional

from torchrec_ext.contracts import Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.scorers.dot import DotScorer


class CosineScorer(Scorer):
    """The cosine of a query and each of its candidates, divided by a temperature; indexable.

    The norm of an item's vector, which tends to grow with its popularity, does not change its score. From
    "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations" (Yi et al. 2019).

    Args:
        dim: D, width of the vectors.
        temperature: the scores lie between -1/temperature and 1/temperature.

    Example:
        >>> import torch
        >>> scorer = CosineScorer(dim=2, temperature=0.25)
        >>> scorer(torch.tensor([[2.0, 0.0]]), torch.tensor([[5.0, 0.0], [0.0, 1.0]]))
        tensor([[4., 0.]])
    """

    indexable = True

    def __init__(self, dim: int, temperature: float = 0.1) -> None:
        super().__init__()
        if not temperature > 0:
            raise InputError(f"temperature should be above 0, received {temperature}")
        self.dim = dim
        self.temperature = temperature
        self.dot = DotScorer(dim)

    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""
        return self.dot(self.index_vectors(queries_BD), self.index_vectors(candidates))

    def index_vectors(self, vectors_ND: Tensor) -> Tensor:
        """``(N, D)`` queries or candidates to ``(N, D)`` vectors whose dot products are the scores."""
        return functional.normalize(vectors_ND, dim=-1) * self.temperature**-0.5
