import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.interactions import FinalMLP


def test_two_fields_by_hand():
    interaction = FinalMLP(num_fields=2, dim=1, first=(1,), second=(1,), heads=1)
    first, second = (stream[0] for stream in map(_layers, interaction.streams))
    with torch.no_grad():
        for gate in interaction.gates:
            gate.out.weight.zero_()
            gate.out.bias.zero_()
        interaction.gates[1].out.bias[0] = math.log(3)
        first.weight.copy_(torch.tensor([[1.0, 1.0]]))
        second.weight.copy_(torch.tensor([[2.0, -0.5]]))
        first.bias.zero_(), second.bias.zero_()
        interaction.linear.weight.copy_(torch.tensor([[10.0, 100.0]]))
        interaction.linear.bias.fill_(0.5)
        interaction.products.fill_(7.0)
    # The first stream reads (1, 2), as 2 sigmoid(0) = 1: 1 + 2 = 3. The second reads (1.5, 2), as
    # 2 sigmoid(ln 3) = 1.5: 3 - 1 = 2. The logit is .5 + 10 * 3 + 100 * 2 + 3 * 7 * 2.
    assert interaction.out_dim == 1
    assert interaction(torch.tensor([[[1.0], [2.0]]])).tolist() == [[pytest.approx(272.5)]]


def _layers(stream):
    return [module for module in stream.modules() if isinstance(module, torch.nn.Linear)]


def test_it_is_a_loop_over_streams_and_heads():
    interaction = FinalMLP(
        4, 3, first=(7, 6), second=(4,), heads=2, gate_hidden=5, first_gate=(0, 2), second_gate=()
    ).double()
    fields = torch.randn(5, 4, 3, dtype=torch.float64)
    expected = []
    for row in fields:
        read = [torch.cat([row[0], row[2]]), interaction.gates[1].learnt[0]]
        ends = []
        for gate, given, stream in zip(interaction.gates, read, interaction.streams, strict=True):
            hidden = (gate.hidden.weight @ given + gate.hidden.bias).clamp(min=0)
            gated = 2 * torch.sigmoid(gate.out.weight @ hidden + gate.out.bias) * row.flatten()
            for layer in _layers(stream):
                gated = (layer.weight @ gated + layer.bias).clamp(min=0)
            ends.append(gated)
        logit = interaction.linear.weight[0] @ torch.cat(ends) + interaction.linear.bias[0]
        for head in range(2):
            one, other = ends[0][3 * head : 3 * head + 3], ends[1][2 * head : 2 * head + 2]
            logit = logit + one @ interaction.products[head] @ other
        expected.append(logit[None])
    torch.testing.assert_close(interaction(fields), torch.stack(expected))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"first": ()}, r"first should hold the width of at least one layer, received \(\)"),
        ({"second": (4, 0)}, "second should be at least 1, received 0"),
        ({"heads": 3}, "heads should divide the last width of first, 32, received 3"),
        ({"first_gate": (0, 3)}, r"first_gate should hold positions from 0 to 2, received \(0, 3\)"),
        ({"second_gate": (-1,)}, r"second_gate should hold positions from 0 to 2, received \(-1,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        FinalMLP(3, 4, **arguments)
