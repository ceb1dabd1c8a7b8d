"""Layers whose input is masked by what the example itself suggests."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class MaskNet(Interaction):
    """Blocks that multiply their input by a mask computed from all field vectors, then apply a layer.

    From "MaskNet: Introducing Feature-Wise Multiplication to CTR Ranking Models by Instance-Guided Mask"
    (Wang et al. 2021). A mask is two fully connected layers over the concatenated raw vectors, the first one
    wider than the vectors and with ReLU. A block is ``ReLU(LN(W (mask * input)))``. Parallel blocks all read
    the field vectors, each normalized, and their outputs are concatenated; in series each block reads the one
    before it.

    Args:
        num_fields: F.
        dim: D, width of a field vector, at least 2 because each vector is normalized.
        blocks: number of blocks.
        hidden: width of a block's output.
        ratio: how many times wider than F * D the first layer of a mask is.
        parallel: whether the blocks are parallel or in series.

    Example:
        >>> MaskNet(num_fields=3, dim=8, blocks=2, hidden=16)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 32])
        >>> MaskNet(num_fields=3, dim=8, blocks=2, hidden=16, parallel=False)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        blocks: int = 3,
        hidden: int = 64,
        ratio: int = 2,
        parallel: bool = True,
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, blocks=blocks, ratio=ratio)
        expect_at_least(2, dim=dim, hidden=hidden)
        self.num_fields = num_fields
        self.dim = dim
        self.blocks = blocks
        self.hidden = hidden
        self.ratio = ratio
        self.parallel = parallel
        self.out_fields = blocks if parallel else 1
        self.out_dim = self.out_fields * hidden
        # Each field has a scale and an offset of its own.
        self.scales_FD = nn.Parameter(torch.ones(num_fields, dim))
        self.offsets_FD = nn.Parameter(torch.zeros(num_fields, dim))
        width = num_fields * dim
        self.mask_blocks = nn.ModuleList(
            _MaskBlock(width, ratio, width if parallel or not block else hidden, hidden)
            for block in range(blocks)
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        normal_BFD = functional.layer_norm(fields_BFD, (self.dim,))
        raw_BN = fields_BFD.flatten(1)
        masked = (normal_BFD * self.scales_FD + self.offsets_FD).flatten(1)
        if self.parallel:
            return torch.cat([block(raw_BN, masked) for block in self.mask_blocks], dim=1)
        for block in self.mask_blocks:
            masked = block(raw_BN, masked)
        return masked


class _MaskBlock(nn.Module):
    def __init__(self, width: int, ratio: int, in_dim: int, hidden: int) -> None:
        super().__init__()
        self.aggregation = nn.Linear(width, ratio * width)
        self.projection = nn.Linear(ratio * width, in_dim)
        self.layer = nn.Linear(in_dim, hidden, bias=False)
        self.norm = nn.LayerNorm(hidden)

    def forward(self, raw_BN: Tensor, input_BI: Tensor) -> Tensor:
        mask_BI = self.projection(self.aggregation(raw_BN).relu())
        return self.norm(self.layer(mask_BI * input_BI)).relu()
