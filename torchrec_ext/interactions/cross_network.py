"""Explicit feature crosses of a bounded degree."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class CrossNetwork(Interaction):
    """Layers of explicit feature crosses: ``x0 * (W x + b) + x``, where x0 is the network's input.

    After n layers a component is a polynomial of degree n + 1 in the components of the fields. From
    "DCN V2: Improved Deep & Cross Network and Practical Lessons for Web-scale Learning to Rank Systems"
    (Wang et al. 2021). With ``low_rank``, W is a product of two thin matrices. With ``experts`` as well, W is
    a mixture of several such products, each with ReLU around a small matrix in its low-rank space, weighted
    by a softmax of the layer's input. The paper does not specify its gate and its activation.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        layers: number of layers.
        low_rank: rank of W; None takes a full F * D by F * D matrix.
        experts: number of low-rank experts in a layer; 1 takes the product of two matrices without a gate.

    Example:
        >>> CrossNetwork(num_fields=3, dim=8)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 24])
        >>> CrossNetwork(num_fields=3, dim=8, low_rank=4, experts=2)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 24])
    """

    def __init__(
        self, num_fields: int, dim: int, layers: int = 3, low_rank: int | None = None, experts: int = 1
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, layers=layers, experts=experts)
        if low_rank is not None:
            expect_at_least(1, low_rank=low_rank)
        elif experts > 1:
            raise InputError(f"low_rank should be given with experts={experts}, received None")
        self.num_fields = num_fields
        self.dim = dim
        self.layers = layers
        self.low_rank = low_rank
        self.experts = experts
        self.out_fields = num_fields
        self.out_dim = num_fields * dim
        self.crosses = nn.ModuleList(_cross(self.out_dim, low_rank, experts) for _ in range(layers))

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, F * D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        first_BN = crossed_BN = fields_BFD.flatten(1)
        for cross in self.crosses:
            crossed_BN = first_BN * cross(crossed_BN) + crossed_BN
        return crossed_BN


class _Mixture(nn.Module):
    """``W x + b`` with W a mixture of low-rank experts."""

    def __init__(self, width: int, rank: int, experts: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, experts, bias=False)
        self.down = nn.Linear(width, experts * rank, bias=False)
        self.middle = nn.Parameter(torch.empty(experts, rank, rank).uniform_(-(rank**-0.5), rank**-0.5))
        self.up = nn.Linear(experts * rank, width)

    def forward(self, crossed_BN: Tensor) -> Tensor:
        low_BER = self.down(crossed_BN).relu().unflatten(1, self.middle.shape[:2])
        low_BER = torch.einsum("ber,eor->beo", low_BER, self.middle).relu()
        # Weighted before the last product, so that one product sums over all experts. The gates sum to one,
        # so the shared bias counts once.
        gates_BE = self.gate(crossed_BN).softmax(1)
        return self.up((low_BER * gates_BE.unsqueeze(2)).flatten(1))


def _cross(width: int, low_rank: int | None, experts: int) -> nn.Module:
    if low_rank is None:
        return nn.Linear(width, width)
    if experts > 1:
        return _Mixture(width, low_rank, experts)
    return nn.Sequential(nn.Linear(width, low_rank, bias=False), nn.Linear(low_rank, width))
