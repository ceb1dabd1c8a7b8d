import warnings

import pytest
import torch
from torch import nn

from torchrec_ext.float_weights import float_weights


def quantized(module):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.ao.quantization.quantize_dynamic(module, {nn.Linear, nn.GRU})


@pytest.mark.parametrize(
    "module",
    [
        nn.Linear(3, 2),
        nn.Linear(3, 2, bias=False),
        nn.GRU(3, 2, num_layers=2),
        nn.Sequential(nn.Linear(3, 2), nn.PReLU(), nn.GRU(2, 4), nn.LayerNorm(4)),
    ],
    ids=repr,
)
def test_the_weights_before_and_after_quantization_are_the_same_but_for_rounding(module):
    # One of 255 steps between the smallest and the largest weight, none of which exceeds 1.
    before, after = float_weights(module), float_weights(quantized(module))
    assert [*map(id, before)] == [*map(id, module.parameters())]
    assert len(before) == len(after)
    for weight, rounded in zip(before, after, strict=True):
        torch.testing.assert_close(rounded, weight, rtol=0, atol=2 / 255)
