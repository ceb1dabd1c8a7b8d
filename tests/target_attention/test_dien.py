import math

import pytest
import torch

from torchrec_ext.errors import InputError
from torchrec_ext.target_attention import DIEN


def _sigmoid(x):
    return 1 / (1 + math.exp(-x))


def _set(attention, **values):
    with torch.no_grad():
        for name, value in values.items():
            attention.get_parameter(name.replace("__", ".")).copy_(torch.tensor(value))


def test_two_events_by_hand():
    attention = DIEN(dim=1, auxiliary_weight=0.5)
    _set(
        attention,
        extractor__weight_ih_l0=[[0.0], [0.0], [1.0]],
        extractor__weight_hh_l0=[[0.0], [0.0], [0.0]],
        extractor__bias_ih_l0=[0.0, 0.0, 0.0],
        extractor__bias_hh_l0=[0.0, 0.0, 0.0],
        bilinear__weight=[[2.0]],
        input_gates__weight=[[1.0], [-1.0], [2.0]],
        input_gates__bias=[0.1, 0.2, 0.3],
        state_gates__weight=[[0.5], [1.5], [-1.0]],
    )
    # both gates of the first GRU are open by half: h = tanh(e) / 2 + h / 2
    first = math.tanh(0.5) / 2
    second = math.tanh(-1.0) / 2 + first / 2
    share = _sigmoid(2.0 * 3.0 * (first - second))  # of the first event, the softmax over two
    state = 0.0
    for interest, weight in ((first, share), (second, 1 - share)):
        reset = _sigmoid(interest + 0.1 + 0.5 * state)
        update = weight * _sigmoid(-interest + 0.2 + 1.5 * state)
        new = math.tanh(2 * interest + 0.3 + reset * -1.0 * state)
        state = (1 - update) * state + update * new
    target, lengths = torch.tensor([[3.0], [1.0]]), torch.tensor([2, 1])
    events = torch.tensor([[[0.5], [-1.0]], [[0.7], [9.0]]])
    interests, loss = attention.forward_and_loss(target, events, lengths)
    assert interests[0].item() == pytest.approx(state, abs=1e-6)
    # one next event, -1; the second row's only event, .7, stands for the negative
    expected = -math.log(_sigmoid(first * -1.0)) - math.log(1 - _sigmoid(first * 0.7))
    assert loss.item() == pytest.approx(0.5 * expected, abs=1e-6)


def _paper(attention, target, events, lengths):
    """Interests of each row and the states of its events, one event at a time."""
    gru, size = attention.extractor, attention.dim
    evolved, all_states = [], []
    for t, history, length in zip(target, events, lengths.tolist(), strict=True):
        h, states = torch.zeros(size).double(), []
        for event in history[:length]:
            x = gru.weight_ih_l0 @ event + gru.bias_ih_l0
            s = gru.weight_hh_l0 @ h + gru.bias_hh_l0
            r, u = torch.sigmoid(x + s)[:size], torch.sigmoid(x + s)[size : 2 * size]
            n = torch.tanh(x[2 * size :] + r * s[2 * size :])
            h = (1 - u) * n + u * h
            states.append(h)
        raised = [math.exp((s @ attention.bilinear.weight @ t).item()) for s in states]
        width = attention.hidden
        inputs, biases = attention.input_gates.weight.split(width), attention.input_gates.bias.split(width)
        back = attention.state_gates.weight.split(width)
        h = torch.zeros(width).double()
        for state, weight in zip(states, raised, strict=True):
            r = torch.sigmoid(inputs[0] @ state + back[0] @ h + biases[0])
            u = torch.sigmoid(inputs[1] @ state + back[1] @ h + biases[1])
            n = torch.tanh(inputs[2] @ state + r * (back[2] @ h) + biases[2])
            u = u * weight / sum(raised)
            h = (1 - u) * h + u * n
        evolved.append(h)
        all_states.append(states)
    return torch.stack(evolved), all_states


def _random(rows, lengths, dim=3):
    torch.manual_seed(0)
    events = torch.randn(rows, max(lengths), dim).double()
    return torch.randn(rows, dim).double(), events, torch.tensor(lengths)


def test_equals_a_loop_over_events():
    inputs = _random(5, [6, 1, 0, 4, 3])
    attention = DIEN(dim=3, hidden=5).double()
    evolved, states = _paper(attention, *inputs)
    received, loss = attention.forward_and_loss(*inputs)
    torch.testing.assert_close(received, evolved, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(attention(*inputs), evolved, rtol=1e-12, atol=1e-12)
    _, events, lengths = inputs
    terms = []
    for row, length in enumerate(lengths.tolist()):
        other = (row + 1) % 5
        for t in range(length - 1):
            if lengths[other]:
                negative = events[other, (t + 1) % int(lengths[other])]
                told = torch.sigmoid(states[row][t] @ events[row, t + 1])
                other_told = torch.sigmoid(states[row][t] @ negative)
                terms.append(-told.log() - (1 - other_told).log())
    assert len(terms) == 10
    torch.testing.assert_close(loss, torch.stack(terms).mean(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("lengths", [[0, 0], [1, 1], [3, 0], [4]])
def test_no_next_event_or_no_other_row_is_no_loss(lengths):
    inputs = _random(len(lengths), lengths if any(lengths) else [3] * len(lengths))
    attention = DIEN(dim=3).double()
    _, loss = attention.forward_and_loss(inputs[0], inputs[1], torch.tensor(lengths))
    assert loss.item() == 0
    loss.backward()
    assert all(p.grad is None or not p.grad.any() for p in attention.parameters())


def test_auxiliary_loss_teaches_events_and_extractor_alone():
    target, events, lengths = _random(3, [3, 2, 3])
    events.requires_grad_()
    attention = DIEN(dim=3).double()
    attention.forward_and_loss(target, events, lengths)[1].backward()
    taught = {name for name, p in attention.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {f"extractor.{name}" for name, _ in attention.extractor.named_parameters()}
    assert events.grad[:2, :2].any() and not events.grad[1, 2].any()


def test_padding_does_not_change_the_loss():
    target, events, lengths = _random(3, [3, 2, 3])
    attention = DIEN(dim=3).double()
    _, loss = attention.forward_and_loss(target, events, lengths)
    longer = torch.cat([events, torch.full((3, 2, 3), 50.0)], 1)
    longer[1, 2] = 70.0
    torch.testing.assert_close(attention.forward_and_loss(target, longer, lengths)[1], loss)


def test_traced_loss_equals_eager():
    class Whole(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = DIEN(dim=3)

        def forward(self, target, events, lengths):
            interests, loss = self.attention.forward_and_loss(target, events, lengths)
            return interests.sum() + loss

    model = Whole().double()
    traced = torch.fx.symbolic_trace(model)
    for inputs in (_random(3, [3, 2, 3]), _random(2, [5, 1])):
        assert torch.equal(traced(*inputs), model(*inputs))


def test_autocast_runs_the_recurrences_in_float32():
    attention, (target, events, lengths) = DIEN(dim=3), _random(3, [3, 2, 3])
    with torch.autocast("cpu", torch.bfloat16):
        interests, loss = attention.forward_and_loss(target.float(), events.float(), lengths)
    assert interests.dtype == loss.dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"auxiliary_weight": -0.5}, "auxiliary_weight should be at least 0, received -0.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        DIEN(dim=4, **arguments)
