"""Stacked factorization machines."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.mlp import MLP


class Wukong(Interaction):
    """Layers of new field vectors, from dot products and from weighted sums of the old ones.

    From "Wukong: Towards a Scaling Law for Large-Scale Recommendation" (Zhang et al. 2024). A layer is
    ``LN(concat(FMB(X), LCB(X)) + X)``. The factorization machine block FMB multiplies all pairs of vectors,
    compresses the F products of each vector by a learnt ``F x rank`` matrix Y, ``X X^T Y``, and turns them
    by a layer norm and an MLP into new vectors. The linear compression block LCB gives weighted sums of the
    vectors. Where the number of vectors changes, weighted sums also stand for X in the residual. n layers
    hold crosses of a degree of up to ``2 ** n``. The paper also computes Y from the vectors; here it is
    learnt.

    Args:
        num_fields: F.
        dim: D, width of a field vector, at least 2 because each vector is normalized.
        layers: number of layers.
        fm_fields: number of new vectors of a layer's FMB.
        linear_fields: number of new vectors of a layer's LCB.
        rank: number of compressed products of each vector.
        hidden: widths of the hidden layers of the MLP.

    Example:
        >>> Wukong(num_fields=3, dim=8, fm_fields=2, linear_fields=3)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 40])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        layers: int = 2,
        fm_fields: int = 4,
        linear_fields: int = 4,
        rank: int = 8,
        hidden: tuple[int, ...] = (64,),
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, layers=layers, fm_fields=fm_fields)
        expect_at_least(
            1, linear_fields=linear_fields, rank=rank, **({"hidden": min(hidden)} if hidden else {})
        )
        expect_at_least(2, dim=dim)
        self.num_fields = num_fields
        self.dim = dim
        self.layers = layers
        self.fm_fields = fm_fields
        self.linear_fields = linear_fields
        self.rank = rank
        self.hidden = tuple(hidden)
        self.out_fields = fm_fields + linear_fields
        self.out_dim = self.out_fields * dim
        counts = [num_fields, *[self.out_fields] * (layers - 1)]
        self.stack = nn.ModuleList(
            _WukongLayer(count, dim, fm_fields, linear_fields, rank, hidden) for count in counts
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, (fm_fields + linear_fields) * D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        for layer in self.stack:
            fields_BFD = layer(fields_BFD)
        return fields_BFD.flatten(1)


class _WukongLayer(nn.Module):
    def __init__(
        self, fields: int, dim: int, fm_fields: int, linear_fields: int, rank: int, hidden: tuple[int, ...]
    ) -> None:
        super().__init__()
        out_fields = fm_fields + linear_fields
        self.sizes = (fm_fields, dim)
        self.compress = nn.Linear(fields, rank, bias=False)
        self.products_norm = nn.LayerNorm(fields * rank)
        self.mlp = MLP(fields * rank, hidden)
        self.new = nn.Linear(hidden[-1] if hidden else fields * rank, fm_fields * dim)
        self.sums = nn.Linear(fields, linear_fields, bias=False)
        same = fields == out_fields
        self.residual = nn.Identity() if same else nn.Linear(fields, out_fields, bias=False)
        self.norm = nn.LayerNorm(dim)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        fields_BDF = fields_BFD.transpose(1, 2)
        products_BP = torch.bmm(fields_BFD, self.compress(fields_BDF)).flatten(1)
        crossed = self.new(self.mlp(self.products_norm(products_BP))).unflatten(1, self.sizes)
        both_BDF = torch.cat([crossed.transpose(1, 2), self.sums(fields_BDF)], dim=2)
        return self.norm((both_BDF + self.residual(fields_BDF)).transpose(1, 2))
