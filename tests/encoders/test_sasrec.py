import math

import pytest
import torch
from torch import nn

from tests.encoders.torch_transformer import torch_transformer
from torchrec_ext.encoders import SASRec
from torchrec_ext.errors import InputError


def test_one_layer_by_hand():
    encoder = SASRec(dim=2, layers=1, heads=1, dropout=0.0).eval()
    block = encoder.blocks[0]
    with torch.no_grad():
        encoder.positions.zero_()
        block.query_key_value.weight.copy_(torch.cat([torch.eye(2)] * 3))
        block.attended.weight.copy_(torch.eye(2))
        for linear in (block.feed_in, block.feed_out):
            linear.weight.zero_()
    events = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    # Scaled, the events are (sqrt 2, 0) and (0, sqrt 2); normalised they are (1, -1) and (-1, 1).
    seen_itself = 1 / (1 + math.exp(-4 / math.sqrt(2)))  # products 2 and -2 over the root of the width
    attended = seen_itself * -1 + (1 - seen_itself) * 1
    first, second = (math.sqrt(2) + 1, -1.0), (attended, math.sqrt(2) - attended)
    states = encoder(events, torch.tensor([2]))[0]
    for state, (left, right) in zip(states, (first, second), strict=True):
        half = (left - right) / 2
        expected = half / math.sqrt(half**2 + 1e-5)
        assert state.tolist() == pytest.approx([expected, -expected], abs=1e-6)


@pytest.mark.parametrize("events", [5, 9])
def test_it_is_torch_own_transformer(events):
    encoder = SASRec(dim=8, layers=2, heads=2, hidden=12, max_length=9).double().eval()
    _randomise(encoder)
    vectors = torch.randn(3, events, 8, dtype=torch.float64) / 8**0.5
    mask = nn.Transformer.generate_square_subsequent_mask(events, dtype=torch.float64)
    expected = torch_transformer(encoder)(vectors * 8**0.5 + encoder.positions[:events], mask)
    torch.testing.assert_close(encoder(vectors, torch.full((3,), events)), expected)


def test_beyond_max_length_it_is_torch_own_within_a_window():
    encoder = SASRec(dim=8, layers=2, heads=2, max_length=4).double().eval()
    _randomise(encoder)
    vectors = torch.randn(2, 11, 8, dtype=torch.float64)
    at = torch.arange(11)
    hidden = (at.unsqueeze(1) < at) | (at.unsqueeze(1) - at >= 4)
    expected = torch_transformer(encoder)(vectors * 8**0.5 + encoder.positions[at.clamp(max=3)], hidden)
    torch.testing.assert_close(encoder(vectors, torch.tensor([11, 11])), expected)


def test_steps_equal_forward_beyond_max_length():
    encoder = SASRec(dim=8, layers=2, heads=2, max_length=4).eval()
    vectors = torch.randn(3, 13, 8)
    expected = encoder(vectors, torch.full((3,), 13))
    state = encoder.initial_state(3)
    for t in range(13):
        state, output = encoder.step(state, vectors[:, t])
        torch.testing.assert_close(output, expected[:, t], rtol=1e-5, atol=1e-5)


def test_states_of_users_with_histories_of_other_lengths_step_together():
    encoder = SASRec(dim=8, max_length=4).eval()
    vectors = torch.randn(1, 6, 8)
    long, short = encoder.initial_state(1), encoder.initial_state(1)
    for t in range(5):
        long, _ = encoder.step(long, vectors[:, t])
    both = tuple(torch.cat(parts) for parts in zip(long, short, strict=True))
    _, outputs = encoder.step(both, vectors[:, 5].expand(2, -1))
    torch.testing.assert_close(outputs[:1], encoder.step(long, vectors[:, 5])[1])
    torch.testing.assert_close(outputs[1:], encoder.step(short, vectors[:, 5])[1])


def test_a_step_under_autocast_is_close():
    encoder = SASRec(dim=8).eval()
    vector = torch.randn(3, 8)
    _, exact = encoder.step(encoder.initial_state(3), vector)
    with torch.autocast("cpu", torch.bfloat16):
        state, rounded = encoder.step(encoder.initial_state(3), vector)
    assert (rounded - exact).norm() <= 0.03 * exact.norm()
    assert state[0].dtype == torch.float32


def test_the_trace_serves_other_sizes():
    encoder = SASRec(dim=8, max_length=5).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 9)):
        vectors, lengths = torch.randn(rows, events, 8), torch.full((rows,), events)
        torch.testing.assert_close(traced(vectors, lengths), encoder(vectors, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "heads should divide dim, which is 8, received 3"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"max_length": 0}, "max_length should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        SASRec(dim=8, **arguments)


def _randomise(module):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(0, 0.5, generator=generator)
