from itertools import combinations

import pytest
import torch
from torch import nn

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import OuterProductConvolution


def test_one_layer_by_hand():
    interaction = OuterProductConvolution(num_fields=2, dim=2, filters=2)
    with torch.no_grad():
        interaction.convolutions[0].weight.copy_(
            torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]], [[[-1.0, 0.0], [0.0, 0.0]]]])
        )
        interaction.convolutions[0].bias.copy_(torch.tensor([0.5, 1.0]))
    # The image is ((3, 4), (6, 8)). First filter: 3 + 10*4 + 100*6 + 1000*8 + .5; second: relu(-3 + 1).
    assert interaction.out_dim == 2
    assert interaction(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]])).tolist() == [[8643.5, 0.0]]


def test_two_layers_by_hand():
    interaction = OuterProductConvolution(num_fields=2, dim=4, filters=1)
    with torch.no_grad():
        first, second = interaction.convolutions
        first.weight.copy_(torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]]))
        second.weight.copy_(torch.tensor([[[[1.0, 10.0], [100.0, 1000.0]]]]))
        first.bias.zero_(), second.bias.zero_()
    fields = torch.tensor([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]])
    # Diagonals of the image's quarters: 1*5 + 2*6, 1*7 + 2*8, 3*5 + 4*6, 3*7 + 4*8.
    assert interaction(fields).tolist() == [[17 + 10 * 23 + 100 * 39 + 1000 * 53.0]]


def literal(interaction, fields):
    """Images of products, and each filter's sum over each of its patches, one after the other."""
    rows = []
    for row in fields:
        count, dim = row.shape
        size = interaction.filled
        vectors = torch.cat([row, torch.zeros(count, size - dim, dtype=row.dtype)], 1)
        image = torch.stack([torch.outer(vectors[i], vectors[j]) for i, j in combinations(range(count), 2)])
        for convolution in interaction.convolutions:
            size //= 2
            new = torch.empty(convolution.out_channels, size, size, dtype=row.dtype)
            for f in range(convolution.out_channels):
                for a in range(size):
                    for b in range(size):
                        patch = image[:, 2 * a : 2 * a + 2, 2 * b : 2 * b + 2]
                        new[f, a, b] = (convolution.weight[f] * patch).sum() + convolution.bias[f]
            image = new.clamp(min=0)
        rows.append(image.flatten())
    return torch.stack(rows)


@pytest.mark.parametrize(("num_fields", "dim"), [(2, 8), (2, 5), (4, 4), (3, 6)])
def test_it_is_a_loop_over_pairs_filters_and_patches(num_fields, dim):
    torch.manual_seed(0)
    interaction = OuterProductConvolution(num_fields, dim, filters=3).double()
    for convolution in interaction.convolutions:
        nn.init.normal_(convolution.bias)  # at 0 the gradients of clamp and ReLU differ
    fields = torch.randn(4, num_fields, dim, dtype=torch.float64, requires_grad=True)
    received, expected = interaction(fields), literal(interaction, fields)
    torch.testing.assert_close(received, expected)
    inputs, pattern = [fields, *interaction.parameters()], torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(received, inputs, pattern), torch.autograd.grad(expected, inputs, pattern)
    )


def test_it_is_torchs_convolutions():
    interaction = OuterProductConvolution(num_fields=3, dim=16, filters=5)
    fields = torch.randn(4, 3, 16)
    image = torch.stack(
        [fields[:, i, :, None] * fields[:, j, None] for i, j in combinations(range(3), 2)], dim=1
    )
    for convolution in interaction.convolutions:
        image = convolution(image).relu()
    torch.testing.assert_close(interaction(fields), image.flatten(1))


def test_each_layer_halves():
    assert len(OuterProductConvolution(2, 64).convolutions) == 6
    assert len(OuterProductConvolution(2, 50).convolutions) == 6
    assert len(OuterProductConvolution(2, 2).convolutions) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_fields": 1, "dim": 4}, "num_fields should be at least 2, received 1"),
        ({"num_fields": 2, "dim": 1}, "dim should be at least 2, received 1"),
        ({"num_fields": 2, "dim": 4, "filters": 0}, "filters should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        OuterProductConvolution(**arguments)
