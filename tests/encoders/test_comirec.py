import math

import pytest
import torch

from torchrec_ext.encoders import ComiRec
from torchrec_ext.errors import InputError


def test_two_interests_by_hand():
    encoder = ComiRec(dim=2, num_interests=2, hidden=1, dropout=0.0).eval()
    with torch.no_grad():
        encoder.positions.weight.zero_()
        encoder.positions.weight[0, 0] = 0.5  # of the newest event
        encoder.inner.weight.copy_(torch.tensor([[1.0, 0.0]]))
        encoder.inner.bias.fill_(0.1)
        encoder.score.weight.copy_(torch.tensor([[2.0], [-1.0]]))
    events = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]]])  # the third is padding
    first, second = math.tanh(math.sqrt(2) + 0.1), math.tanh(0.5 + 0.1)
    interests = encoder(events, torch.tensor([2]))[0]
    for interest, weight in zip(interests, (2.0, -1.0), strict=True):
        share = 1 / (1 + math.exp(weight * (second - first)))
        half = math.sqrt(2) * (share - (1 - share)) / 2
        expected = half / math.sqrt(half**2 + 1e-5)
        assert interest.tolist() == pytest.approx([expected, -expected], abs=1e-5)


@pytest.mark.parametrize("max_length", [3, 9])
def test_it_is_a_loop_over_events(max_length):
    encoder = ComiRec(dim=6, num_interests=3, hidden=5, max_length=max_length).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.7, generator=generator)
    events = torch.randn(3, 7, 6, dtype=torch.float64, generator=generator)
    lengths = [7, 4, 1]
    interests = encoder(events, torch.tensor(lengths))
    for row, length in enumerate(lengths):
        for k in range(3):
            total, weighted = 0.0, torch.zeros(6, dtype=torch.float64)
            for t in range(length):
                position = encoder.positions.weight[min(length - 1 - t, max_length - 1)]
                inner = torch.tanh(encoder.inner(events[row, t] * 6**0.5 + position))
                weight = math.exp(float((encoder.score.weight[k] * inner).sum().detach()))
                total, weighted = total + weight, weighted + weight * events[row, t]
            torch.testing.assert_close(interests[row, k], encoder.norm(weighted / total * 6**0.5))


def test_the_interests_of_no_event_are_the_bias():
    encoder = ComiRec(dim=4)
    torch.nn.init.normal_(encoder.norm.bias)
    interests = encoder(torch.randn(2, 5, 4), torch.tensor([0, 5]))
    assert torch.equal(interests[0], encoder.norm.bias.expand(4, -1))
    assert not torch.equal(interests[1], encoder.norm.bias.expand(4, -1))


def test_interests_differ_from_the_first():
    torch.manual_seed(0)
    interests = ComiRec(dim=16, num_interests=3).eval()(torch.randn(2, 9, 16), torch.tensor([9, 9]))
    assert torch.pdist(interests[0]).min() > 0.1


def test_the_trace_serves_other_sizes():
    encoder = ComiRec(dim=8, max_length=5).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 9)):
        vectors, lengths = torch.randn(rows, events, 8), torch.arange(rows)
        torch.testing.assert_close(traced(vectors, lengths), encoder(vectors, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_interests": 0}, "num_interests should be at least 1, received 0"),
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"max_length": 0}, "max_length should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        ComiRec(dim=8, **arguments)
