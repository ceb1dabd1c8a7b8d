import math

import pytest
import torch
from torch import nn

from torchrec_ext.encoders import NARM
from torchrec_ext.errors import InputError


def test_two_events_by_hand():
    encoder = NARM(dim=1, hidden=2, attention_dim=1, dropout=0.0).eval()
    encoder.gru = _Given(torch.tensor([[[1.0, 2.0], [-1.0, 3.0]]]))
    encoder.norm = nn.Identity()
    with torch.no_grad():
        encoder.query.weight.copy_(torch.tensor([[1.0, 0.0]]))
        encoder.key.weight.copy_(torch.tensor([[0.0, 1.0]]))
        encoder.weigh.weight.fill_(2.0)
        encoder.mix.weight.copy_(torch.tensor([[1.0, 10.0, 100.0, 1000.0]]))
        encoder.mix.bias.fill_(0.5)
    first = 2 / (1 + math.exp(-3.0))  # of query 1 and key 2
    older, newer = 2 / (1 + math.exp(-1.0)), 2 / (1 + math.exp(-2.0))  # of query -1 and keys 2 and 3
    local = older * 1 - newer, older * 2 + newer * 3
    expected = [21.5 + 100 * first + 2000 * first, -1 + 30.5 + 100 * local[0] + 1000 * local[1]]
    states = encoder(torch.zeros(1, 2, 1), torch.tensor([2]))
    assert states.flatten().tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("window", "events"), [(4, 9), (4, 2), (1, 3), (50, 7)])
def test_it_is_torch_own_network_and_a_loop(window, events):
    encoder = NARM(dim=6, hidden=5, attention_dim=4, attention_window=window).double().eval()
    vectors = torch.randn(2, events, 6, dtype=torch.float64)
    own = nn.GRU(6, 5, batch_first=True).double()
    own.load_state_dict(encoder.gru.recurrence.state_dict())
    states = own(vectors)[0]
    expected = torch.zeros(2, events, 6, dtype=torch.float64)
    for row in range(2):
        for t in range(events):
            local = torch.zeros(5, dtype=torch.float64)
            for s in range(max(0, t - window + 1), t + 1):
                compared = encoder.query.weight @ states[row, t] + encoder.key.weight @ states[row, s]
                local += (encoder.weigh.weight[0] @ compared.sigmoid()) * states[row, s]
            both = torch.cat([states[row, t], encoder.norm(local)])
            expected[row, t] = encoder.mix(both)
    torch.testing.assert_close(encoder(vectors, torch.full((2,), events)), expected)


def test_steps_equal_forward_beyond_the_window():
    encoder = NARM(dim=4, attention_window=3).eval()
    events = torch.randn(3, 12, 4)
    expected = encoder(events, torch.full((3,), 12))
    state = encoder.initial_state(3)
    for t in range(12):
        state, output = encoder.step(state, events[:, t])
        torch.testing.assert_close(output, expected[:, t], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"attention_dim": 0}, "attention_dim should be at least 1, received 0"),
        ({"attention_window": 0}, "attention_window should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        NARM(dim=4, **arguments)


class _Given(nn.Module):
    def __init__(self, states):
        super().__init__()
        self.states = states

    def forward(self, events, lengths):
        return self.states
