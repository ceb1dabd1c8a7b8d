import math

import pytest
import torch
from torch.nn import functional

from torchrec_ext.errors import InputError
from torchrec_ext.heads import ESMMHead


def _linear(weights, biases):
    head = ESMMHead(in_dim=len(weights[0]), tasks=len(weights), tower=())
    with torch.no_grad():
        head.towers.weights[0].copy_(torch.tensor(weights).unsqueeze(1))
        head.towers.biases[0].copy_(torch.tensor(biases).unsqueeze(1))
    return head


def test_two_tasks_by_hand():
    head = _linear([[1.0], [0.0]], [0.0, math.log(3)])
    # a click has probability 2/3 and a conversion after it 3/4: together 1/2, whose logit is 0
    assert head(torch.tensor([[math.log(2)]])).tolist() == [pytest.approx([math.log(2), 0.0], abs=1e-6)]


def test_a_chain_of_three_is_the_product_of_probabilities():
    torch.manual_seed(0)
    head = ESMMHead(in_dim=4, tasks=3, tower=(5,)).double()
    vectors = 4 * torch.randn(50, 4).double()
    steps = head.towers(vectors).squeeze(2).sigmoid()
    expected = torch.stack([steps[:, 0], steps[:, :2].prod(1), steps.prod(1)], 1)
    torch.testing.assert_close(head(vectors).sigmoid(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (-300.0, -200.0, -500.0),
        (300.0, -200.0, -200.0),
        (-200.0, 300.0, -200.0),
        (300.0, 200.0, 200.0),
        (200.0, 200.0, 200.0 - math.log(2)),
    ],
)
def test_the_logit_and_its_gradient_stay_finite(first, second, expected):
    head = _linear([[1.0, 0.0], [0.0, 1.0]], [0.0, 0.0])
    vectors = torch.tensor([[first, second]], requires_grad=True)
    logits = head(vectors)
    assert logits[0, 1].item() == pytest.approx(expected)
    functional.binary_cross_entropy_with_logits(logits, torch.tensor([[1.0, 0.0]])).backward()
    assert vectors.grad.isfinite().all()


def test_the_loss_of_the_last_task_reaches_all_towers_of_the_chain():
    head = ESMMHead(in_dim=4, tasks=3, tower=())
    head(torch.randn(8, 4))[:, 1].sum().backward()
    gradient = head.towers.weights[0].grad
    assert gradient[0].any() and gradient[1].any() and not gradient[2].any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": 0}, "tasks should be at least 1, received 0"),
        ({"tower": (0,)}, r"tower should be at least 1 each, received \(0,\)"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ESMMHead(in_dim=4, **arguments)
