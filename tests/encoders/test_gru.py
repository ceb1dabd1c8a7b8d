import math

import pytest
import torch

from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError


def _sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_two_steps_by_hand():
    encoder = GRU(dim=1, hidden=1, dropout=0.0)
    with torch.no_grad():
        for name, values in {
            "weight_ih_l0": [[0.5], [-1.0], [2.0]],  # reset, update, new
            "weight_hh_l0": [[1.0], [0.5], [-0.5]],
            "bias_ih_l0": [0.1, 0.2, 0.3],
            "bias_hh_l0": [0.0, 0.0, 0.4],
        }.items():
            getattr(encoder.recurrence, name).copy_(torch.tensor(values))
    state, expected = 0.0, []
    for event in (1.0, -2.0):
        reset = _sigmoid(0.5 * event + 0.1 + 1.0 * state)
        update = _sigmoid(-1.0 * event + 0.2 + 0.5 * state)
        new = math.tanh(2.0 * event + 0.3 + reset * (-0.5 * state + 0.4))
        state = (1 - update) * new + update * state
        expected.append(state)
    states = encoder(torch.tensor([[[1.0], [-2.0]]]), torch.tensor([2]))
    assert states.flatten().tolist() == pytest.approx(expected, abs=1e-6)


def test_width_and_layers():
    encoder = GRU(dim=4, hidden=6, layers=2, dropout=0.0)
    assert encoder.out_dim == 6
    assert encoder(torch.rand(2, 3, 4), torch.tensor([3, 1])).shape == (2, 3, 6)
    assert GRU(dim=4).out_dim == 8


def test_dropout_falls_on_events_and_states_in_training_alone():
    torch.manual_seed(0)
    encoder = GRU(dim=4, dropout=0.5)
    events, lengths = torch.rand(50, 3, 4), torch.full((50,), 3)
    assert not (encoder.eval()(events, lengths) == 0).any()
    share = (encoder.train()(events, lengths) == 0).float().mean().item()
    assert share == pytest.approx(0.5, abs=0.06)
    events.requires_grad_()
    encoder(events, lengths).sum().backward()
    share = (events.grad == 0).float().mean().item()  # of a dropped event nothing depends
    assert share == pytest.approx(0.5, abs=0.06)


def test_autocast_runs_the_recurrence_in_float32_on_cpu():
    encoder = GRU(dim=4, hidden=4, dropout=0.0)
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
        GRU(dim=4, **arguments)
