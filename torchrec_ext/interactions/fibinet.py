"""Weighted fields and bilinear products of pairs."""

from typing import Literal

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape
from torchrec_ext.contracts import Interaction


class FiBiNET(Interaction):
    """Bilinear products of all pairs of field vectors, of the raw ones and of those weighted by importance.

    From "FiBiNET: Combining Feature Importance and Bilinear feature Interaction for Click-Through Rate
    Prediction" (Huang et al. 2019). The SENET layer takes the mean of each field vector, and two layers of a
    bottleneck turn the F means into a weight for each field. The bilinear layer gives
    ``(v_i W) * v_j`` for each pair i < j. The output holds the D components of each pair of raw vectors, in
    the order (0,1), (0,2), ... (1,2), ..., then those of the weighted vectors. Both use the same matrices W.

    Args:
        num_fields: F, at least 2.
        dim: D, width of a field vector.
        bilinear: which pairs share W: ``"all"`` of them, ``"each"`` the pairs with the same first field, or
            ``"interaction"``, a matrix for each pair.
        reduction: how many times narrower than F the bottleneck is.
        gate: activation of the weights: ``"sigmoid"`` as in squeeze-and-excitation networks, or ``"relu"``,
            which can turn fields off for good where there are only a few of them.

    Example:
        >>> FiBiNET(num_fields=3, dim=8)(torch.rand(2, 3, 8)).shape  # twice 3 pairs
        torch.Size([2, 48])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        bilinear: Literal["all", "each", "interaction"] = "interaction",
        reduction: int = 3,
        gate: Literal["sigmoid", "relu"] = "sigmoid",
    ) -> None:
        super().__init__()
        expect_at_least(2, num_fields=num_fields)
        expect_at_least(1, dim=dim, reduction=reduction)
        expect_one_of("bilinear", bilinear, ("all", "each", "interaction"))
        expect_one_of("gate", gate, ("sigmoid", "relu"))
        self.num_fields = num_fields
        self.dim = dim
        self.bilinear = bilinear
        self.reduction = reduction
        self.gate = gate
        pairs = num_fields * (num_fields - 1) // 2
        self.out_fields = 2 * pairs
        self.out_dim = self.out_fields * dim
        narrow = max(1, num_fields // reduction)
        self.squeeze = nn.Linear(num_fields, narrow, bias=False)
        self.excite = nn.Linear(narrow, num_fields, bias=False)
        count = {"all": 1, "each": num_fields - 1, "interaction": pairs}[bilinear]
        bound = (3 / dim) ** 0.5  # of Glorot's initial weights
        self.matrices = nn.Parameter(torch.empty(count, dim, dim).uniform_(-bound, bound))

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, F * (F - 1) * D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        weights_BF = self.excite(self.squeeze(fields_BFD.mean(2)).relu())
        weights_BF = weights_BF.sigmoid() if self.gate == "sigmoid" else weights_BF.relu()
        weighted_BFD = fields_BFD * weights_BF.unsqueeze(2)
        return torch.cat([self._pairs(fields_BFD), self._pairs(weighted_BFD)], dim=1).flatten(1)

    def _pairs(self, fields_BFD: Tensor) -> Tensor:
        """The bilinear product of each pair, ``(B, P, D)``."""
        first, second = torch.triu_indices(self.num_fields, self.num_fields, 1, device=fields_BFD.device)
        if self.bilinear == "interaction":
            left_BPD = torch.einsum("bpd,pde->bpe", fields_BFD.index_select(1, first), self.matrices)
        else:
            matrices = self.matrices.expand(self.num_fields - 1, -1, -1)
            left = torch.einsum("bfd,fde->bfe", fields_BFD[:, :-1], matrices)
            left_BPD = left.index_select(1, first)
        return left_BPD * fields_BFD.index_select(1, second)
