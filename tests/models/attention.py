"""A target attention and an encoder to try the models with."""

import torch
from torch import Tensor

from torchrec_ext.contracts import TargetAttention


class SoftAttention(TargetAttention):
    """Events weighted by the softmax of their dot product with the target."""

    def __init__(self, dim: int, sharpness: float = 1.0) -> None:
        super().__init__()
        self.dim = self.out_dim = dim
        self.sharpness = sharpness

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        logits_BT = (events_BTD @ target_BD.unsqueeze(2)).squeeze(2) * self.sharpness
        padding_BT = torch.arange(events_BTD.shape[1], device=lengths_B.device) >= lengths_B[:, None]
        weights_BT = logits_BT.masked_fill(padding_BT, -1e9).softmax(1).masked_fill(padding_BT, 0.0)
        return (weights_BT.unsqueeze(1) @ events_BTD).squeeze(1)


class WideAttention(SoftAttention):
    """The same twice, so that its width is not the model's."""

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.out_dim = 2 * dim

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        once = super().forward(target_BD, events_BTD, lengths_B)
        return torch.cat([once, once], 1)
