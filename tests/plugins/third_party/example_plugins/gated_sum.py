"""A gated sum of the fields."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class GatedSum(Interaction):
    """The sum of the field vectors, each weighed by a gate that it opens itself."""

    def __init__(self, num_fields: int, dim: int, hidden: int = 4) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, hidden=hidden)
        self.num_fields = num_fields
        self.dim = dim
        self.hidden = hidden
        self.out_dim = dim
        self.gate = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1), nn.Sigmoid())

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return torch.sum(self.gate(fields_BFD) * fields_BFD, dim=1)
