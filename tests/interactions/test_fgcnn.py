import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import FGCNN


def test_one_layer_by_hand():
    interaction = FGCNN(num_fields=3, dim=1, filters=(1,), kernel_size=3, pool=2, new_maps=1)
    with torch.no_grad():
        interaction.convolutions[0].weight.copy_(torch.tensor([[[1.0, 10.0, -2.0]]]))
        interaction.convolutions[0].bias.fill_(0.1)
        interaction.recombinations[0].weight.copy_(torch.tensor([[1.0, 0.5], [0.0, -1.0]]))
        interaction.recombinations[0].bias.copy_(torch.tensor([0.0, 0.25]))
    # Zeros stand around the fields; the third one is a group by itself.
    first = math.tanh(0 + 10 * 0.1 - 2 * 0.2 + 0.1)
    second = math.tanh(0.1 + 10 * 0.2 - 2 * -0.3 + 0.1)
    third = math.tanh(0.2 + 10 * -0.3 + 0.1)
    larger = max(first, second)
    expected = [0.1, 0.2, -0.3, math.tanh(larger + 0.5 * third), math.tanh(0.25 - third)]
    assert interaction.out_dim == 5
    received = interaction(torch.tensor([[[0.1], [0.2], [-0.3]]]))
    assert received.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def literal(interaction, fields):
    """Every value by its own sum, with the layers' weights as they are kept."""
    rows = []
    for row in fields:
        vectors = [row.flatten()]
        maps = row.T.unsqueeze(2)  # component, field, filter
        for convolution, recombination in zip(
            interaction.convolutions, interaction.recombinations, strict=True
        ):
            dim, count, _ = maps.shape
            new = row.new_empty(dim, count, convolution.out_channels)
            for d in range(dim):
                for f in range(count):
                    total = convolution.bias.clone()
                    for offset in range(interaction.kernel_size):
                        other = f + offset - (interaction.kernel_size - 1) // 2
                        if 0 <= other < count:
                            total = total + convolution.weight[:, :, offset] @ maps[d, other]
                    new[d, f] = total.tanh()
            groups = range(0, count, interaction.pool)
            maps = torch.stack([new[:, g : g + interaction.pool].max(1).values for g in groups], 1)
            vectors.append((recombination.weight @ maps.flatten() + recombination.bias).tanh())
        rows.append(torch.cat(vectors))
    return torch.stack(rows)


@pytest.mark.parametrize(("num_fields", "kernel_size", "pool"), [(4, 3, 2), (5, 2, 2), (5, 7, 3), (2, 1, 1)])
def test_it_is_a_loop_over_components_fields_and_groups(num_fields, kernel_size, pool):
    torch.manual_seed(0)
    interaction = FGCNN(num_fields, 3, (2, 4), kernel_size, pool, new_maps=2).double()
    fields = torch.randn(4, num_fields, 3, dtype=torch.float64, requires_grad=True)
    received, expected = interaction(fields), literal(interaction, fields)
    assert received.shape[1] == interaction.out_dim
    torch.testing.assert_close(received, expected)
    inputs, pattern = [fields, *interaction.parameters()], torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(received, inputs, pattern), torch.autograd.grad(expected, inputs, pattern)
    )


def test_its_convolution_and_pooling_are_torchs():
    interaction = FGCNN(5, 3, filters=(4,), kernel_size=3, pool=2, new_maps=1)
    fields = torch.randn(6, 5, 3)
    convolution = interaction.convolutions[0]
    flat = torch.nn.functional.conv1d(
        fields.transpose(1, 2).reshape(18, 1, 5), convolution.weight, convolution.bias, padding="same"
    )
    pooled = torch.nn.functional.max_pool1d(flat.tanh(), 2, ceil_mode=True)
    maps = pooled.unflatten(0, (6, 3)).transpose(2, 3)
    expected = interaction.recombinations[0](maps.flatten(1)).tanh()
    torch.testing.assert_close(interaction(fields), torch.cat([fields.flatten(1), expected], 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": ()}, r"filters should hold the number of filters of at least one layer, received \(\)"),
        ({"filters": (2, 0)}, "filters should be at least 1, received 0"),
        ({"pool": 0}, "pool should be at least 1, received 0"),
        ({"new_maps": 0}, "new_maps should be at least 1, received 0"),
        ({"kernel_size": 0}, "kernel_size should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        FGCNN(3, 4, **arguments)
