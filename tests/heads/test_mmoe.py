import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.heads import MMoEHead


def test_two_experts_by_hand():
    head = MMoEHead(in_dim=1, tasks=2, experts=2, hidden=(1,), tower=())
    with torch.no_grad():
        head.expert_layers.weights[0].copy_(torch.tensor([[[2.0]], [[-3.0]]]))
        head.expert_layers.biases[0].copy_(torch.tensor([[1.0], [10.0]]))
        head.gates.weight.copy_(torch.tensor([[0.0], [0.0], [math.log(3) / 2], [0.0]]))
        head.towers.weights[0].copy_(torch.tensor([[[1.0]], [[10.0]]]))
        head.towers.biases[0].copy_(torch.tensor([[0.0], [0.5]]))
    # experts 5 and 4; the first task takes half of each, the second three quarters of the first
    assert head(torch.tensor([[2.0]])).tolist() == [pytest.approx([4.5, 48.0], abs=1e-5)]


def _dense(values, weight, bias, relu):
    sums = [b + sum(w * v for w, v in zip(r, values, strict=True)) for r, b in zip(weight, bias, strict=True)]
    return [max(0.0, s) for s in sums] if relu else sums


@pytest.mark.parametrize(("hidden", "tower"), [((5, 3), (4,)), ((3,), ())])
def test_equals_the_equations_example_by_example(hidden, tower):
    torch.manual_seed(0)
    head = MMoEHead(in_dim=4, tasks=2, experts=3, hidden=hidden, tower=tower).double()
    vectors = torch.randn(5, 4).double()
    gates = head.gates.weight.view(2, 3, 4).tolist()

    def through(towers, number, values, last_relu):
        layers = list(zip(towers.weights, towers.biases, strict=True))
        for layer, (weight, bias) in enumerate(layers):
            relu = last_relu or layer + 1 < len(layers)
            values = _dense(values, weight[number].tolist(), bias[number].tolist(), relu)
        return values

    expected = []
    for x in vectors.tolist():
        outputs = [through(head.expert_layers, expert, x, True) for expert in range(3)]
        row = []
        for task in range(2):
            raised = [math.exp(sum(w * v for w, v in zip(g, x, strict=True))) for g in gates[task]]
            mixed = [
                sum(r / sum(raised) * o[n] for r, o in zip(raised, outputs, strict=True)) for n in range(3)
            ]
            row += through(head.towers, task, mixed, False)
        expected.append(row)
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(head(vectors), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experts": 0}, "experts should be at least 1, received 0"),
        ({"hidden": ()}, "hidden should hold the width of at least one layer"),
        ({"tower": (0,)}, r"tower should be at least 1 each, received \(0,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        MMoEHead(in_dim=4, **arguments)
