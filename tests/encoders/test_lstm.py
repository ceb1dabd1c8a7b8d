import math

import pytest
import torch
from torch import nn

from torchrec_ext.encoders import LSTM
from torchrec_ext.errors import InputError


def _sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_two_steps_by_hand():
    encoder = LSTM(dim=1, hidden=1, dropout=0.0)
    with torch.no_grad():
        for name, values in {
            "weight_ih_l0": [[0.5], [-1.0], [2.0], [1.5]],  # in, forget, new, out
            "weight_hh_l0": [[1.0], [0.5], [-0.5], [0.25]],
            "bias_ih_l0": [0.1, 0.2, 0.3, 0.4],
            "bias_hh_l0": [0.0, 0.0, 0.4, 0.0],
        }.items():
            getattr(encoder.recurrence, name).copy_(torch.tensor(values))
    state, cell, expected = 0.0, 0.0, []
    for event in (1.0, -2.0):
        enter = _sigmoid(0.5 * event + 0.1 + 1.0 * state)
        keep = _sigmoid(-1.0 * event + 0.2 + 0.5 * state)
        new = math.tanh(2.0 * event + 0.7 - 0.5 * state)
        out = _sigmoid(1.5 * event + 0.4 + 0.25 * state)
        cell = keep * cell + enter * new
        state = out * math.tanh(cell)
        expected.append(state)
    states = encoder(torch.tensor([[[1.0], [-2.0]]]), torch.tensor([2]))
    assert states.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_layers_are_torch_own_cells():
    encoder = LSTM(dim=4, hidden=6, layers=2).double().eval()
    assert encoder.out_dim == 6 and LSTM(dim=4).out_dim == 8
    vectors = torch.randn(3, 5, 4, dtype=torch.float64)
    read = list(vectors.unbind(1))
    for layer in range(2):
        cell = nn.LSTMCell(6 if layer else 4, 6).double()
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        cell.load_state_dict({n: getattr(encoder.recurrence, f"{n}_l{layer}") for n in names})
        state, written = None, []
        for vector in read:
            state = cell(vector, state)
            written.append(state[0])
        read = written
    torch.testing.assert_close(encoder(vectors, torch.tensor([5, 5, 5])), torch.stack(read, 1))


def test_dropout_falls_on_events_and_states_in_training_alone():
    torch.manual_seed(0)
    encoder = LSTM(dim=4, dropout=0.5)
    events, lengths = torch.rand(50, 3, 4), torch.full((50,), 3)
    assert not (encoder.eval()(events, lengths) == 0).any()
    hooked = []
    encoder.recurrence.register_forward_pre_hook(lambda _, inputs: hooked.append(inputs[0]))
    for dropped in (encoder.train()(events, lengths), hooked[0]):
        assert (dropped == 0).float().mean().item() == pytest.approx(0.5, abs=0.06)


def test_autocast_runs_the_recurrence_in_float32_on_cpu():
    encoder = LSTM(dim=4, hidden=4, dropout=0.0)
    events, lengths = torch.rand(2, 3, 4), torch.tensor([3, 3])
    with torch.autocast("cpu", torch.bfloat16):
        states = encoder(events, lengths)
    assert torch.equal(states, encoder(events, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        LSTM(dim=4, **arguments)
