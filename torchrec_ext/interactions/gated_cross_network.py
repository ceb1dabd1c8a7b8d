"""Feature crosses that a gate filters."""

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class GatedCrossNetwork(Interaction):
    """Layers of feature crosses, each times a gate: ``x0 * (W x + b) * sigmoid(V x) + x``.

    x0 is the network's input. From "Towards Deeper, Lighter and Interpretable Cross Network for CTR
    Prediction" (Wang et al. 2023), equation 1. The gate learns which crosses of an order matter, so that more
    layers do not add noise. Layers above it make the paper's GDCN-S, an MLP beside it the paper's GDCN-P.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        layers: number of layers.

    Example:
        >>> import torch
        >>> GatedCrossNetwork(num_fields=3, dim=8)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 24])
    """

    def __init__(self, num_fields: int, dim: int, layers: int = 3) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, layers=layers)
        self.num_fields = num_fields
        self.dim = dim
        self.layers = layers
        self.out_fields = num_fields
        self.out_dim = num_fields * dim
        self.crosses = nn.ModuleList(nn.Linear(self.out_dim, self.out_dim) for _ in range(layers))
        self.gates = nn.ModuleList(nn.Linear(self.out_dim, self.out_dim, bias=False) for _ in range(layers))

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, F * D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        first_BN = crossed_BN = fields_BFD.flatten(1)
        for cross, gate in zip(self.crosses, self.gates, strict=True):
            crossed_BN = first_BN * cross(crossed_BN) * gate(crossed_BN).sigmoid() + crossed_BN
        return crossed_BN
