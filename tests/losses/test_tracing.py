"""Losses in a model that torch.fx traces, imported by name into another file than their own."""

import pytest
import torch
from torch import nn

from torchrec_ext.losses import binary_cross_entropy, softmax_cross_entropy


class Binary(nn.Module):
    def forward(self, logits, labels):
        return binary_cross_entropy(logits, labels, weights=labels + 1, reduction="sum")


class Softmax(nn.Module):
    def forward(self, logits, labels):
        return softmax_cross_entropy(logits, labels, log_q_C=logits[0])


@pytest.mark.parametrize(
    ("model", "inputs"),
    [
        (Binary(), (torch.randn(5), torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0]))),
        (Softmax(), (torch.randn(3, 4), torch.tensor([0, -1, 3]))),
    ],
)
def test_traced_equals_eager(model, inputs):
    assert torch.equal(torch.fx.symbolic_trace(model)(*inputs), model(*inputs))
