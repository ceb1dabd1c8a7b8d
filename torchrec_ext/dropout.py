"""Dropout, which is twice as fast on a CPU as torch's."""

import torch
from torch import Tensor, nn
from torch.nn import functional

_LEVELS = 1 << 16


class Dropout(nn.Dropout):
    """``nn.Dropout``; on a CPU it draws 16 random bits for each component instead of a float.

    The probability is rounded to a multiple of 1/65,536, and kept components are scaled accordingly.

    Example:
        >>> set(Dropout(0.5)(torch.ones(1000)).tolist()) == {0.0, 2.0}
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """Any shape to the same shape; in evaluation mode the input itself."""
        return _drop(input, self.p) if self.training and self.p else input


@torch.fx.wrap  # a symbolic trace cannot branch on the device
def _drop(vectors: Tensor, share: float) -> Tensor:
    if vectors.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.dropout(vectors, share)
    dropped = min(round(share * _LEVELS), _LEVELS - 1)
    four_at_once = torch.empty((vectors.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    bits = four_at_once.view(torch.int16)[: vectors.numel()].view(vectors.shape)
    noise = (bits >= dropped - _LEVELS // 2).to(vectors.dtype)
    return vectors * noise.mul_(_LEVELS / (_LEVELS - dropped))
