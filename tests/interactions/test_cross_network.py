import math

import pytest
import torch
from torchrec.modules.crossnet import CrossNet, LowRankCrossNet, LowRankMixtureCrossNet

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import CrossNetwork

FIELDS, DIM = 3, 4
N = FIELDS * DIM


def fill(parameters, values):
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(torch.as_tensor(value))


def agree(interaction, theirs):
    fields = torch.randn(7, FIELDS, DIM, requires_grad=True)
    received, expected = interaction(fields), theirs(fields.flatten(1))
    torch.testing.assert_close(received, expected)
    pattern = torch.randn_like(expected)
    (mine,) = torch.autograd.grad(received, fields, pattern)
    (other,) = torch.autograd.grad(expected, fields, pattern)
    torch.testing.assert_close(mine, other)


def test_two_layers_by_hand():
    interaction = CrossNetwork(num_fields=2, dim=1, layers=2)
    fill(
        dict(interaction.named_parameters()),
        {
            "crosses.0.weight": [[1.0, 10.0], [0.0, -1.0]],
            "crosses.0.bias": [0.5, 1.0],
            "crosses.1.weight": [[0.0, 1.0], [2.0, 0.0]],
            "crosses.1.bias": [0.0, 3.0],
        },
    )
    # First: 3 * (3 + 40 + .5) + 3 = 133.5, and 4 * (-4 + 1) + 4 = -8.
    # Second: 3 * -8 + 133.5 = 109.5, and 4 * (2 * 133.5 + 3) - 8 = 1072.
    assert interaction.out_dim == 2
    assert interaction(torch.tensor([[[3.0], [4.0]]])).tolist() == [[109.5, 1072.0]]


def test_mixture_by_hand():
    interaction = CrossNetwork(num_fields=2, dim=1, layers=1, low_rank=1, experts=2)
    fill(
        dict(interaction.named_parameters()),
        {
            "crosses.0.gate.weight": [[0.0, 0.0], [1.0, -0.5]],
            "crosses.0.down.weight": [[1.0, 1.0], [1.0, -0.25]],
            "crosses.0.middle": [[[2.0]], [[0.5]]],
            "crosses.0.up.weight": [[1.0, 3.0], [-1.0, 10.0]],
            "crosses.0.up.bias": [0.25, 0.0],
        },
    )
    # The experts' low-rank values: relu(2 * relu(3 + 4)) = 14, relu(.5 * relu(3 - 1)) = 1.
    second = math.e / (1 + math.e)  # softmax of 0 and 3 - 2
    first = 1 - second
    expected = [
        3 * (first * (14 + 0.25) + second * (3 + 0.25)) + 3,
        4 * (first * -14 + second * 10) + 4,
    ]
    assert interaction(torch.tensor([[[3.0], [4.0]]])).flatten().tolist() == pytest.approx(expected, abs=1e-5)


def test_full_is_torchrecs():
    interaction, theirs = CrossNetwork(FIELDS, DIM), CrossNet(N, 3)
    for mine, kernel, bias in zip(interaction.crosses, theirs.kernels, theirs.bias, strict=True):
        fill({"weight": mine.weight, "bias": bias}, {"weight": kernel, "bias": torch.randn(N, 1)})
        fill({"bias": mine.bias}, {"bias": bias[:, 0]})
    agree(interaction, theirs)


def test_low_rank_is_torchrecs():
    interaction, theirs = CrossNetwork(FIELDS, DIM, 2, low_rank=3), LowRankCrossNet(N, 2, 3)
    parts = zip(interaction.crosses, theirs.V_kernels, theirs.W_kernels, theirs.bias, strict=True)
    for (down, up), v_kernel, w_kernel, bias in parts:
        fill({"bias": bias}, {"bias": torch.randn(N)})
        fill(
            {"down": down.weight, "up": up.weight, "bias": up.bias},
            {"down": v_kernel, "up": w_kernel, "bias": bias},
        )
    agree(interaction, theirs)


def test_mixture_is_torchrecs_where_its_layers_share_their_gates():
    rank, experts = 3, 4
    interaction = CrossNetwork(FIELDS, DIM, 2, low_rank=rank, experts=experts)
    theirs = LowRankMixtureCrossNet(N, 2, experts, rank)
    for layer, mixture in enumerate(interaction.crosses):
        fill({"bias": theirs.bias[layer]}, {"bias": torch.randn(N, 1)})
        fill(
            dict(mixture.named_parameters()),
            {
                "gate.weight": torch.cat([gate.weight for gate in theirs.gates]),
                "down.weight": theirs.V_kernels[layer].flatten(0, 1),
                "middle": theirs.C_kernels[layer],
                "up.weight": theirs.U_kernels[layer].transpose(0, 1).flatten(1),
                "up.bias": theirs.bias[layer][:, 0],
            },
        )
    agree(interaction, theirs)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"low_rank": 0}, "low_rank should be at least 1, received 0"),
        ({"experts": 0}, "experts should be at least 1, received 0"),
        ({"experts": 2}, "low_rank should be given with experts=2, received None"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        CrossNetwork(FIELDS, DIM, **arguments)
