"""Plain functions of logits and labels."""

from torchrec_ext.losses.binary_cross_entropy import binary_cross_entropy
from torchrec_ext.losses.softmax_cross_entropy import softmax_cross_entropy

__all__ = ["binary_cross_entropy", "softmax_cross_entropy"]
