import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.heads import PLEHead


def test_one_layer_by_hand():
    head = PLEHead(in_dim=1, tasks=2, experts=1, shared_experts=1, layers=1, hidden=(1,), tower=())
    (layer,) = head.extraction
    with torch.no_grad():
        layer.expert_layers.weights[0].copy_(torch.tensor([[[2.0]], [[-3.0]], [[5.0]]]))
        layer.expert_layers.biases[0].copy_(torch.tensor([[1.0], [10.0], [-1.0]]))
        layer.gates[0].weight.zero_()
        layer.gates[1].weight.copy_(torch.tensor([[math.log(3) / 2], [0.0]]))
        head.towers.weights[0].copy_(torch.tensor([[[1.0]], [[10.0]]]))
        head.towers.biases[0].copy_(torch.tensor([[0.0], [0.5]]))
    # own experts 5 and 4, the shared one 9; the first task takes half of both, the second three quarters
    # of its own one
    assert head(torch.tensor([[2.0]])).tolist() == [pytest.approx([7.0, 53.0], abs=1e-5)]


def _through(towers, number, values, last_relu):
    for layer, (weight, bias) in enumerate(zip(towers.weights, towers.biases, strict=True)):
        rows = zip(weight[number].tolist(), bias[number].tolist(), strict=True)
        values = [b + sum(w * v for w, v in zip(row, values, strict=True)) for row, b in rows]
        if last_relu or layer + 1 < len(towers.weights):
            values = [max(0.0, value) for value in values]
    return values


def _mixed(gate, state, outputs):
    raised = [math.exp(sum(w * v for w, v in zip(row, state, strict=True))) for row in gate.weight.tolist()]
    assert len(raised) == len(outputs)
    return [
        sum(r / sum(raised) * o[n] for r, o in zip(raised, outputs, strict=True))
        for n in range(len(outputs[0]))
    ]


@pytest.mark.parametrize(("layers", "hidden", "tower"), [(1, (3,), ()), (3, (5, 3), (4,))])
def test_equals_the_equations_example_by_example(layers, hidden, tower):
    torch.manual_seed(0)
    head = PLEHead(4, 2, experts=2, shared_experts=3, layers=layers, hidden=hidden, tower=tower).double()
    vectors = torch.randn(5, 4).double()
    expected = []
    for x in vectors.tolist():
        first, second, shared = x, x, x
        for layer in head.extraction:
            reads = [first, first, second, second, shared, shared, shared]
            outputs = [_through(layer.expert_layers, n, state, True) for n, state in enumerate(reads)]
            gates = layer.gates
            if len(gates) == 3:
                shared = _mixed(gates[2], shared, outputs)
            first, second = (
                _mixed(gates[0], first, outputs[:2] + outputs[4:]),
                _mixed(gates[1], second, outputs[2:4] + outputs[4:]),
            )
        expected.append(_through(head.towers, 0, first, False) + _through(head.towers, 1, second, False))
    expected = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(head(vectors), expected, rtol=1e-12, atol=1e-12)


def test_a_task_does_not_reach_the_experts_of_another_in_the_last_layer():
    head = PLEHead(in_dim=4, tasks=2, experts=2, shared_experts=1)
    head(torch.randn(64, 4))[:, 0].sum().backward()
    first, last = (layer.expert_layers.weights[0].grad for layer in head.extraction)
    assert last[:2].any() and last[4].any() and not last[2:4].any()
    assert first[2:4].any(), "it reaches them through the shared experts"
    assert len(head.extraction[0].gates) == 3 and len(head.extraction[1].gates) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experts": 0}, "experts should be at least 1, received 0"),
        ({"shared_experts": 0}, "shared_experts should be at least 1, received 0"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"hidden": ()}, "hidden should hold the width of at least one layer"),
        ({"tower": (0,)}, r"tower should be at least 1 each, received \(0,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        PLEHead(in_dim=4, **arguments)
