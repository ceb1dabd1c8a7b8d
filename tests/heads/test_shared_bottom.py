import pytest
import torch
from torch import nn

from torchrec_ext.errors import InputError
from torchrec_ext.heads import SharedBottomHead


def test_two_tasks_by_hand():
    head = SharedBottomHead(in_dim=2, tasks=2, hidden=(1,), tower=(2,))
    with torch.no_grad():
        head.bottom[0].weight.copy_(torch.tensor([[1.0, 2.0]]))
        head.bottom[0].bias.fill_(-1.0)
        head.towers.weights[0].copy_(torch.tensor([[[1.0], [-1.0]], [[2.0], [0.5]]]))
        head.towers.biases[0].copy_(torch.tensor([[0.0, 4.0], [0.0, -10.0]]))
        head.towers.weights[1].copy_(torch.tensor([[[3.0, 1.0]], [[1.0, 7.0]]]))
        head.towers.biases[1].copy_(torch.tensor([[0.5], [-0.5]]))
    # bottom 3 + 8 - 1 = 10; first task 10 and -6 -> 0: 30.5; second 20 and -5 -> 0: 19.5
    assert head(torch.tensor([[3.0, 4.0]])).tolist() == [[30.5, 19.5]]


@pytest.mark.parametrize(("hidden", "tower"), [((6, 5), (4, 3)), ((6,), ()), ((), (4,)), ((), ())])
def test_equals_a_network_a_task(hidden, tower):
    torch.manual_seed(0)
    head = SharedBottomHead(in_dim=7, tasks=3, hidden=hidden, tower=tower).double()
    vectors = torch.randn(5, 7).double()
    logits = []
    for task in range(3):
        values = vectors
        for layer in head.bottom:
            values = layer(values)
        for number, (weight, bias) in enumerate(zip(head.towers.weights, head.towers.biases, strict=True)):
            values = nn.functional.linear(values, weight[task], bias[task])
            values = values if number == len(tower) else values.clamp(min=0)
        logits.append(values)
    torch.testing.assert_close(head(vectors), torch.cat(logits, 1), rtol=1e-12, atol=1e-12)


def test_a_task_reaches_its_own_tower_alone():
    head = SharedBottomHead(in_dim=4, tasks=3)
    head(torch.randn(8, 4))[:, 1].sum().backward()
    for parameter in [*head.towers.weights, *head.towers.biases]:
        assert parameter.grad[1].any() and not parameter.grad[[0, 2]].any()
    assert head.bottom[0].weight.grad.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": (4, 0)}, r"hidden should be at least 1 each, received \(4, 0\)"),
        ({"tower": (-1,)}, r"tower should be at least 1 each, received \(-1,\)"),
        ({"tasks": 0}, "tasks should be at least 1, received 0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SharedBottomHead(in_dim=4, **arguments)
