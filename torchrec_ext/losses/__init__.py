"""Losses: plain functions of logits and labels, and modules for training."""

from torchrec_ext.losses._dot_product_cross_entropy import dot_product_cross_entropy
from torchrec_ext.losses._sharded_cross_entropy import sharded_cross_entropy, sharded_targets
from torchrec_ext.losses.binary_cross_entropy import BinaryCrossEntropy, binary_cross_entropy
from torchrec_ext.losses.group_softmax import GroupSoftmax
from torchrec_ext.losses.softmax_cross_entropy import SoftmaxCrossEntropy, softmax_cross_entropy

__all__ = [
    "BinaryCrossEntropy",
    "GroupSoftmax",
    "SoftmaxCrossEntropy",
    "binary_cross_entropy",
    "dot_product_cross_entropy",
    "sharded_cross_entropy",
    "sharded_targets",
    "softmax_cross_entropy",
]
