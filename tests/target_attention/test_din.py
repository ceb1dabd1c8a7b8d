import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.target_attention import DIN
from torchrec_ext.testing import Case, TargetAttentionContract


class TestDice(TargetAttentionContract):
    """Kept apart from the other cases: its statistics differ from rank to rank."""

    cases = [Case(DIN, dim=8, activation="dice", hidden=[6, 4])]


def test_one_event_by_hand():
    attention = DIN(dim=1, hidden=(2,))
    with torch.no_grad():
        attention.first.weight.copy_(torch.tensor([[1.0, 2.0, 3.0], [0.0, -1.0, -1.0]]))
        attention.first.bias.copy_(torch.tensor([0.5, 0.0]))
        attention.last.weight.copy_(torch.tensor([[0.1, 2.0]]))
        attention.last.bias.fill_(0.25)
    # hidden: 3 + 2 * 2 + 3 * 6 + .5 = 25.5, and -2 - 6 = -8, of which PReLU leaves a quarter;
    # weight: 2.55 - 4 + .25 = -1.2
    interest = attention(torch.tensor([[2.0]]), torch.tensor([[[3.0], [9.0]]]), torch.tensor([1]))
    assert interest.item() == pytest.approx(3 * -1.2, abs=1e-5)


def _paper(attention, target, events, lengths):
    """The interest of each row: a loop over events, layers and units."""
    layers = [attention.first, *attention.deeper]
    rows = []
    for t, history, length in zip(target.tolist(), events.tolist(), lengths.tolist(), strict=True):
        weights = []
        for event in history[:length]:
            values = [*event, *t, *(a * b for a, b in zip(event, t, strict=True))]
            for layer, activation in zip(layers, attention.activations, strict=True):
                sums = []
                for unit, row in enumerate(layer.weight.tolist()):
                    value = layer.bias[unit].item() + sum(w * v for w, v in zip(row, values, strict=True))
                    if attention.activation == "sigmoid":
                        value = 1 / (1 + math.exp(-value))
                    elif attention.activation == "prelu":
                        value *= 1 if value > 0 else activation.weight[unit].item()
                    else:
                        scale = math.sqrt(activation.variance[unit].item() + 1e-8)
                        share = 1 / (1 + math.exp(-(value - activation.mean[unit].item()) / scale))
                        value = share * value + (1 - share) * activation.slope[unit].item() * value
                    sums.append(value)
                values = sums
            bias = 0.0 if attention.last.bias is None else attention.last.bias.item()
            row = attention.last.weight[0].tolist()
            weights.append(bias + sum(w * v for w, v in zip(row, values, strict=True)))
        if attention.softmax and weights:
            raised = [math.exp(w) for w in weights]
            weights = [w / sum(raised) for w in raised]
        rows.append([sum(w * e[d] for w, e in zip(weights, history, strict=False)) for d in range(len(t))])
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"hidden": (5, 4), "activation": "sigmoid"},
        {"hidden": (5, 4, 3), "activation": "dice"},
        {"hidden": (5,), "softmax": True},
    ],
)
def test_equals_a_loop_over_events(arguments):
    torch.manual_seed(0)
    attention = DIN(dim=3, **arguments).double().eval()
    for name, buffer in attention.named_buffers():
        buffer.copy_(torch.rand_like(buffer) + (0.5 if name.endswith("variance") else 0.0))
    target, events = torch.randn(4, 3).double(), torch.randn(4, 5, 3).double()
    lengths = torch.tensor([5, 0, 1, 3])
    expected = _paper(attention, target, events, lengths)
    torch.testing.assert_close(attention(target, events, lengths), expected, rtol=1e-12, atol=1e-12)


def test_softmax_weights_sum_to_one():
    events = torch.ones(3, 4, 2)
    interests = DIN(dim=2, softmax=True)(torch.randn(3, 2), events, torch.tensor([4, 1, 0]))
    torch.testing.assert_close(interests, torch.tensor([[1.0, 1.0], [1.0, 1.0], [0.0, 0.0]]))


def test_dice_takes_the_statistics_of_real_events_in_training():
    torch.manual_seed(0)
    attention = DIN(dim=3, activation="dice", hidden=(4,)).double()
    target, events = torch.randn(3, 3).double(), torch.randn(3, 5, 3).double()
    lengths = torch.tensor([2, 0, 3])
    output = attention(target, events, lengths)
    real = [(row, t) for row, length in enumerate(lengths.tolist()) for t in range(length)]
    hidden = torch.stack(
        [attention.first(torch.cat([events[r, t], target[r], events[r, t] * target[r]])) for r, t in real]
    )
    dice = attention.activations[0]
    mean, variance = hidden.mean(0), hidden.var(0, unbiased=False)
    torch.testing.assert_close(dice.mean, 0.1 * mean)
    torch.testing.assert_close(dice.variance, 0.9 + 0.1 * variance)
    share = torch.sigmoid((hidden - mean) / (variance + 1e-8).sqrt())
    weights = attention.last(hidden * (share + (1 - share) * dice.slope))
    expected = torch.zeros(3, 3).double()
    for (row, t), weight in zip(real, weights, strict=True):
        expected[row] += weight * events[row, t]
    torch.testing.assert_close(output, expected)


def test_dice_passes_over_a_batch_without_an_event():
    attention = DIN(dim=3, activation="dice")
    before = {name: buffer.clone() for name, buffer in attention.named_buffers()}
    attention(torch.randn(2, 3), torch.randn(2, 4, 3), torch.zeros(2, dtype=torch.int64))
    assert all(torch.equal(buffer, before[name]) for name, buffer in attention.named_buffers())


def test_company_does_not_change_a_row_in_training_unless_it_is_dice():
    target, events, lengths = torch.randn(4, 3), torch.randn(4, 5, 3), torch.full((4,), 5)
    attention = DIN(dim=3)
    alone = attention(target[:1], events[:1], lengths[:1])
    torch.testing.assert_close(attention(target, events, lengths)[:1], alone)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": (8, 0)}, "hidden should be at least 1, received 0"),
        ({"hidden": ()}, "hidden should hold the width of at least one layer"),
        ({"activation": "relu"}, "activation should be 'prelu' or 'dice' or 'sigmoid', received 'relu'"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        DIN(dim=4, **arguments)
