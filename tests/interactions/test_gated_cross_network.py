import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import CrossNetwork, GatedCrossNetwork


def test_one_layer_by_hand():
    interaction = GatedCrossNetwork(num_fields=2, dim=1, layers=1)
    with torch.no_grad():
        interaction.crosses[0].weight.copy_(torch.tensor([[1.0, 10.0], [0.0, -1.0]]))
        interaction.crosses[0].bias.copy_(torch.tensor([0.5, 1.0]))
        interaction.gates[0].weight.copy_(torch.tensor([[0.0, 0.0], [math.log(3) / 3, 0.0]]))
    # The gates are sigmoid(0) = 1/2 and sigmoid(ln 3) = 3/4.
    # 3 * (3 + 40 + .5) / 2 + 3 = 68.25, and 4 * (-4 + 1) * 3/4 + 4 = -5.
    assert interaction.out_dim == interaction.out_fields == 2
    assert interaction(torch.tensor([[[3.0], [4.0]]])).tolist() == [pytest.approx([68.25, -5.0], abs=1e-4)]


def test_it_is_a_loop_over_components():
    interaction = GatedCrossNetwork(3, 2, layers=2).double()
    fields = torch.randn(4, 3, 2, dtype=torch.float64)
    expected = []
    for row in fields.flatten(1):
        crossed = row
        for cross, gate in zip(interaction.crosses, interaction.gates, strict=True):
            new = []
            for n in range(6):
                weighted = sum(cross.weight[n, m] * crossed[m] for m in range(6)) + cross.bias[n]
                opened = 1 / (1 + (-sum(gate.weight[n, m] * crossed[m] for m in range(6))).exp())
                new.append(row[n] * weighted * opened + crossed[n])
            crossed = torch.stack(new)
        expected.append(crossed)
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


def test_half_open_gates_make_a_cross_network_of_half_the_weights():
    interaction, plain = GatedCrossNetwork(3, 4), CrossNetwork(3, 4)
    with torch.no_grad():
        for cross, gate, other in zip(interaction.crosses, interaction.gates, plain.crosses, strict=True):
            gate.weight.zero_()
            other.weight.copy_(cross.weight / 2)
            other.bias.copy_(cross.bias / 2)
    fields = torch.randn(5, 3, 4)
    torch.testing.assert_close(interaction(fields), plain(fields))


def test_wrong_arguments_are_named():
    with pytest.raises(InputError, match="layers should be at least 1, received 0"):
        GatedCrossNetwork(3, 4, layers=0)
