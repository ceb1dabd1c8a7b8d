import math

import pytest
import torch
from torch.nn import functional

from torchrec_ext.encoders import HSTU
from torchrec_ext.errors import InputError


def _silu(x):
    return x / (1 + math.exp(-x))


def test_one_layer_by_hand():
    encoder = HSTU(dim=2, layers=1, heads=1, dropout=0.0).eval()
    block = encoder.blocks[0]
    with torch.no_grad():
        block.project.weight.zero_()
        block.project.bias.copy_(torch.tensor([5.0, 5.0, 1.0, 0.0, 2.0, 0.0, 0.0, 0.0]))
        block.project.weight[6:] = torch.eye(2)  # values alone depend on the event
        block.output.weight.copy_(torch.eye(2))
        block.output.bias.zero_()
        block.position_bias[:2] = torch.tensor([0.5, -0.5])
        block.time_bias[:4] = torch.tensor([0.1, 9.0, 9.0, -0.2])
    events = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    times = torch.tensor([[100.0, 103.5]], dtype=torch.float64)  # 3.5 seconds: the fourth bucket
    # Scaled, the events are (sqrt 2, 0) and (0, sqrt 2); normalised they are (1, -1) and (-1, 1).
    product = _silu(1.0) * _silu(2.0)
    weight_own, weight_before = _silu(product + 0.5 + 0.1), _silu(product - 0.5 - 0.2)
    low, high = _silu(-1.0), _silu(1.0)
    attended = [
        (weight_own * high, weight_own * low),
        (weight_before * high + weight_own * low, weight_before * low + weight_own * high),
    ]
    states = encoder(events, torch.tensor([2]), times)[0]
    for state, event, (left, right) in zip(states, events[0].tolist(), attended, strict=True):
        half = (left - right) / 2
        normal = _silu(5.0) * half / math.sqrt(half**2 + 1e-5)
        sums = event[0] * math.sqrt(2) + normal, event[1] * math.sqrt(2) - normal
        half = (sums[0] - sums[1]) / 2
        expected = half / math.sqrt(half**2 + 1e-5)
        assert state.tolist() == pytest.approx([expected, -expected], abs=1e-6)


@pytest.mark.parametrize("timed", [True, False])
@pytest.mark.parametrize("max_length", [4, 9])
def test_it_is_a_loop_over_pairs(timed, max_length):
    encoder = HSTU(dim=6, layers=2, heads=3, max_length=max_length, time_buckets=20).double().eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(0, 0.5, generator=generator)
    events = torch.randn(2, 9, 6, dtype=torch.float64, generator=generator)
    gaps = torch.tensor([0.0, 1.0, 1.4, 2.0, 59.0, 3600.0, 86400.0, 3e9, 0.0], dtype=torch.float64)
    times = 1e9 + torch.stack([gaps.cumsum(0), gaps.flip(0).cumsum(0)])
    states = encoder(events, torch.tensor([9, 9]), times if timed else None)
    for row in range(2):
        expected = _loop(encoder, events[row], times[row] if timed else torch.zeros(9))
        torch.testing.assert_close(states[row].detach(), expected)


@torch.no_grad()
def _loop(encoder, events, times):
    vectors = [e * encoder.dim**0.5 for e in events]
    size = encoder.dim // encoder.heads
    for block in encoder.blocks:
        parts = [functional.silu(block.project(block.norm(v))).split(encoder.dim) for v in vectors]
        added = []
        for t, vector in enumerate(vectors):
            heads = []
            for head in range(encoder.heads):
                own = slice(head * size, (head + 1) * size)
                total = torch.zeros(size, dtype=torch.float64)
                for s in range(max(0, t - encoder.max_length + 1), t + 1):
                    score = float(parts[t][1][own] @ parts[s][2][own]) + float(block.position_bias[t - s])
                    score += float(block.time_bias[_bucket(float(times[t] - times[s]), encoder.time_buckets)])
                    total = total + _silu(score) * parts[s][3][own]
                heads.append(total)
            added.append(vector + block.output(parts[t][0] * block.attended_norm(torch.cat(heads))))
        vectors = added
    return torch.stack([encoder.norm(v) for v in vectors])


def _bucket(seconds, buckets):
    bounds = [b for k in range(40) for b in (2.0**k, 1.5 * 2.0**k)]
    return min(sum(seconds >= b for b in bounds[1:]), buckets - 1)


@pytest.mark.parametrize("timed", [True, False])
def test_steps_equal_forward_beyond_max_length(timed):
    encoder = HSTU(dim=8, layers=2, heads=2, max_length=4).eval()
    with torch.no_grad():
        for block in encoder.blocks:
            block.time_bias.normal_()
            block.position_bias.normal_()
    vectors = torch.randn(3, 13, 8)
    times = 1e9 + torch.rand(3, 13, dtype=torch.float64).mul(1e5).cumsum(1).round()
    expected = encoder(vectors, torch.full((3,), 13), times if timed else None)
    state = encoder.initial_state(3)
    for t in range(13):
        state, output = encoder.step(state, vectors[:, t], times[:, t] if timed else None)
        torch.testing.assert_close(output, expected[:, t], rtol=1e-5, atol=1e-5)


def test_no_times_are_equal_times():
    encoder = HSTU(dim=8).eval()
    vectors, lengths = torch.randn(2, 5, 8), torch.tensor([5, 3])
    same = torch.full((2, 5), 1e9, dtype=torch.float64)
    torch.testing.assert_close(encoder(vectors, lengths), encoder(vectors, lengths, same))


def test_a_state_sees_no_later_event_or_time():
    encoder = HSTU(dim=8).eval()
    vectors, lengths = torch.randn(2, 6, 8), torch.tensor([6, 6])
    times = 1e9 + torch.rand(2, 6, dtype=torch.float64).mul(1e5).cumsum(1)
    states = encoder(vectors, lengths, times)
    vectors[:, 4:], times[:, 4:] = 1e3, 3e9
    assert torch.equal(encoder(vectors, lengths, times)[:, :4], states[:, :4])


def test_gradients_reach_the_time_bias_with_and_without_times():
    encoder = HSTU(dim=8)
    vectors, lengths = torch.randn(2, 6, 8), torch.tensor([6, 6])
    times = torch.tensor([0.0, 1.0, 2.0, 60.0, 61.0, 1e5], dtype=torch.float64).expand(2, -1)
    for given, reached in ((times, 4), (None, 1)):
        encoder.zero_grad()
        (encoder(vectors, lengths, given) * torch.randn(2, 6, 8)).sum().backward()
        assert encoder.blocks[0].time_bias.grad.count_nonzero() >= reached


def test_the_trace_serves_other_sizes_with_and_without_times():
    encoder = HSTU(dim=8, max_length=5).eval()
    traced = torch.fx.symbolic_trace(encoder)
    for rows, events in ((2, 3), (1, 5), (4, 9)):
        vectors, lengths = torch.randn(rows, events, 8), torch.full((rows,), events)
        times = torch.rand(rows, events, dtype=torch.float64).cumsum(1) * 100
        for given in (None, times):
            torch.testing.assert_close(traced(vectors, lengths, given), encoder(vectors, lengths, given))


def test_a_step_under_autocast_is_close():
    encoder = HSTU(dim=8).eval()
    vector = torch.randn(3, 8)
    _, exact = encoder.step(encoder.initial_state(3), vector)
    with torch.autocast("cpu", torch.bfloat16):
        state, rounded = encoder.step(encoder.initial_state(3), vector)
    assert (rounded - exact).norm() <= 0.03 * exact.norm()
    assert state[0].dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"heads": 3}, "heads should divide dim, which is 8, received 3"),
        ({"layers": 0}, "layers should be at least 1, received 0"),
        ({"max_length": 0}, "max_length should be at least 1, received 0"),
        ({"time_buckets": 0}, "time_buckets should be at least 1, received 0"),
        ({"dropout": 1.0}, "dropout should be at least 0 and below 1, received 1.0"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        HSTU(dim=8, **arguments)


def test_times_of_another_shape_are_named():
    with pytest.raises(InputError, match=r"times_BT should be \(2, 5\), received \(2, 4\)"):
        HSTU(dim=8)(torch.randn(2, 5, 8), torch.tensor([5, 3]), torch.zeros(2, 4, dtype=torch.float64))
