"""A dot product with learnt weights, plus a network."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.float_weights import float_weights
from torchrec_ext.scorers._blocks import in_blocks
from torchrec_ext.scorers.dot import DotScorer


class NeuMF(Scorer):
    """Neural matrix factorisation: a weighted dot product plus a network over both vectors.

    From "Neural Collaborative Filtering" (He et al. 2017). Both branches read the same vectors, where the
    paper has separate vectors for each. The paper first trains each branch alone; here the dot product starts
    with weights of one and the network close to zero, so that training starts from matrix factorisation.
    There is no final bias, because it would not change the order of items.

    It is not indexable. The first layer is computed separately for queries and candidates and then added, so
    that the two vectors of a pair are never concatenated. Pairs are computed in blocks, in training too.

    Args:
        dim: D, width of the vectors.
        hidden: widths of the network's hidden layers. The cost of a pair is the number of weights after the
            first layer.

    Example:
        >>> scorer = NeuMF(dim=8)
        >>> scorer(torch.rand(2, 8), torch.rand(5, 8)).shape
        torch.Size([2, 5])
    """

    indexable = False

    def __init__(self, dim: int, hidden: tuple[int, ...] = (64, 32, 16)) -> None:
        super().__init__()
        hidden = tuple(hidden)
        if not hidden:
            raise InputError(
                "hidden should hold the width of at least one layer, such as (64, 32, 16), received ()"
            )
        expect_at_least(1, dim=dim, hidden=min(hidden))
        self.dim = dim
        self.hidden = hidden
        self.dot = DotScorer(dim)
        self.product_weights = nn.Parameter(torch.ones(dim))
        self.of_query = nn.Linear(dim, hidden[0])
        self.of_candidate = nn.Linear(dim, hidden[0], bias=False)
        for part in (self.of_query, self.of_candidate):  # the initialisation of one layer over both vectors
            nn.init.uniform_(part.weight, -((2 * dim) ** -0.5), (2 * dim) ** -0.5)
        self.deeper = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, hidden[1:], strict=False))
        self.last = nn.Linear(hidden[-1], 1, bias=False)
        nn.init.normal_(self.last.weight, std=0.01)

    def forward(self, queries_BD: Tensor, candidates: Tensor) -> Tensor:
        """``(B, D)`` queries and ``(C, D)`` shared or ``(B, C, D)`` own candidates to ``(B, C)`` scores."""
        expect_shape("queries_BD", queries_BD, ("batch", self.dim))
        products_BC = self.dot(queries_BD * self.product_weights, candidates)
        deeper = float_weights(self.deeper)
        query_BH, theirs = self.of_query(queries_BD), self.of_candidate(candidates)
        return products_BC + _network(query_BH, theirs, deeper, *float_weights(self.last))


@torch.fx.wrap
def _network(query_BH: Tensor, candidates: Tensor, deeper: Sequence[Tensor], last_1H: Tensor) -> Tensor:
    def score(some_BH: Tensor, theirs: Tensor) -> Tensor:
        # In place on the sum, which is local: the widest tensor exists only once.
        hidden = (some_BH.unsqueeze(1) + theirs).relu_()
        for weight, bias in zip(deeper[::2], deeper[1::2], strict=True):
            hidden = functional.linear(hidden, weight, bias).relu_()
        return functional.linear(hidden, last_1H).squeeze(2)

    return in_blocks(score, query_BH, candidates, width=query_BH.shape[1])
