import cmath
import math

import pytest
import torch
from torch.nn import functional

from torchrec_ext.encoders import LRURec
from torchrec_ext.errors import InputError


def test_one_component_by_hand():
    encoder = LRURec(dim=2, layers=1, hidden=1, dropout=0.0).double().eval()
    block = encoder.blocks[0]
    with torch.no_grad():
        block.log_decay.fill_(math.log(math.log(2)))  # half of a state is left an event later,
        block.log_angle.fill_(math.log(math.pi / 2))  # a quarter of a turn further
        block.log_gain.fill_(math.log(3))
        block.into.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 2.0]]))
        block.into.bias.copy_(torch.tensor([1.0, 0.0]))
        block.out.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        block.feed[3].weight.zero_()
        for norm in (encoder.norm, block.norm, block.feed_norm):
            norm.eps = 0.0
        block.norm.weight.copy_(torch.tensor([5.0, 7.0]))
        block.feed_norm = torch.nn.Identity()
    events = torch.tensor([[[3.0, 0.0], [0.0, 4.0]]], dtype=torch.float64)
    # Normalised, the events are (1, -1) and (-1, 1). Entering: 3 * (2 - 2i) and 3 * (0 + 2i); half of
    # the first turned by i is 3 * (1 + i), so that the second state is 3 * (1 + 3i) = (3, 9).
    # Added: (7, -7) and (2, 10), which normalise to (1, -1) and (-1, 1).
    states = encoder(events, torch.tensor([2]))
    assert states.flatten().tolist() == pytest.approx([5.0, -7.0, -5.0, 7.0])
    seen = [block.step(torch.zeros(1, 1, 2).double(), torch.tensor([[1.0, -1.0]]).double())[0]]
    seen.append(block.step(seen[0], torch.tensor([[-1.0, 1.0]]).double())[0])
    assert seen[0].flatten().tolist() == pytest.approx([6.0, -6.0])
    assert seen[1].flatten().tolist() == pytest.approx([3.0, 9.0])


@pytest.mark.parametrize("events", [1, 4, 16, 17, 61])
def test_it_is_the_loop_over_complex_numbers(events):
    encoder = LRURec(dim=6, layers=2, hidden=5).double().eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    vectors = torch.randn(3, events, 6, dtype=torch.float64)
    expected = functional.layer_norm(vectors, (6,), encoder.norm.weight, encoder.norm.bias)
    for block in encoder.blocks:
        rate = [
            cmath.exp(complex(-math.exp(decay), math.exp(angle)))
            for decay, angle in zip(block.log_decay.tolist(), block.log_angle.tolist(), strict=True)
        ]
        rate = torch.tensor(rate, dtype=torch.complex128)
        entering = torch.view_as_complex(block.into(expected).unflatten(2, (5, 2))) * block.log_gain.exp()
        state, states = torch.zeros(3, 5, dtype=torch.complex128), []
        for t in range(events):
            state = rate * state + entering[:, t]
            states.append(state)
        read = torch.view_as_complex(block.out.weight.unflatten(1, (5, 2)).contiguous()).conj()
        seen = (torch.stack(states, 1) @ read.T).real + block.out.bias
        expected = block.norm(expected + seen)
        expected = block.feed_norm(expected + block.feed(expected))
    torch.testing.assert_close(encoder(vectors, torch.full((3,), events)), expected)


def test_gradients_are_those_of_the_steps():
    encoder = LRURec(dim=4, layers=1, hidden=3, dropout=0.0).double()
    vectors = torch.randn(2, 21, 4, dtype=torch.float64)
    weights = torch.randn(2, 21, 4, dtype=torch.float64)
    parameters = list(encoder.parameters())
    at_once = torch.autograd.grad((encoder(vectors, torch.tensor([21, 21])) * weights).sum(), parameters)
    state, total = encoder.initial_state(2), 0.0
    for t in range(21):
        state, output = encoder.step(state, vectors[:, t])
        total = total + (output * weights[:, t]).sum()
    torch.testing.assert_close(at_once, torch.autograd.grad(total, parameters))


def test_first_rates_lie_in_the_ring_and_states_keep_the_size_of_the_inputs():
    torch.manual_seed(0)
    block = LRURec(dim=4, hidden=1000, r_min=0.5, r_max=0.9).blocks[0]
    sizes = (-block.log_decay.exp()).exp()
    assert 0.5 <= sizes.min() < 0.51 and 0.89 < sizes.max() <= 0.9
    assert (sizes**2).mean().item() == pytest.approx((0.25 + 0.81) / 2, abs=0.02)
    angles = block.log_angle.exp()
    assert angles.mean().item() == pytest.approx(math.pi, abs=0.2)
    # A white input of variance 1 gives a state of variance gain ** 2 / (1 - size ** 2).
    torch.testing.assert_close(block.log_gain.exp() ** 2, 1 - sizes**2, rtol=1e-4, atol=1e-4)


def test_long_histories_stay_finite():
    encoder = LRURec(dim=4, layers=1).eval()
    events = torch.randn(1, 3000, 4)
    assert encoder(events, torch.tensor([3000])).isfinite().all()


def test_the_trace_serves_other_sizes():
    encoder = LRURec(dim=8).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 90)):
        vectors, lengths = torch.randn(rows, events, 8), torch.full((rows,), events)
        torch.testing.assert_close(traced(vectors, lengths), encoder(vectors, lengths))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"hidden": 0}, "hidden should be at least 1, received 0"),
        ({"r_min": 0.99}, "should hold, received r_min=0.99, r_max=0.99"),
        ({"r_max": 1.0}, "should hold, received r_min=0.8, r_max=1.0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        LRURec(dim=4, **arguments)
