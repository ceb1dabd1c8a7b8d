"""The promises of a StreamingEncoder."""

import inspect

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close
from torchrec_ext.testing.history import HistoryContract, draw_times

STEPS = 20
MAX_LENGTH = 4


class StreamingPromises(HistoryContract):
    """The part of the encoders' contract that a module without ``step`` skips."""

    def test_steps_equal_forward(self, case: Case) -> None:
        """One event at a time gives each state of the whole history, with times and without."""
        _compare_steps(_streaming(case))

    def test_steps_equal_forward_beyond_max_length(self, case: Case) -> None:
        """Also of histories that are several times as long as a small ``max_length``."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        _compare_steps(_streaming(case, max_length=MAX_LENGTH))
        _compare_steps(_streaming(case, max_length=1))

    def test_a_step_leaves_the_state_before_it_alone(self, case: Case) -> None:
        """Two futures may go on from one state, at the first event and at a later one."""
        module = _streaming(case)
        events = _events(module, ROWS)
        state = module.initial_state(ROWS)
        for t in range(3):
            _, once = module.step(state, events[:, t])
            module.step(state, events[:, t + 1])
            following, again = module.step(state, events[:, t])
            assert torch.equal(once, again)
            state = following

    def test_a_wrong_event_is_named(self, case: Case) -> None:
        """The error of ``step`` names the argument and the shape received."""
        module = _streaming(case)
        dim = case.arguments["dim"]
        with pytest.raises(ValueError) as error:
            module.step(module.initial_state(ROWS), torch.zeros(ROWS, dim + 1))
        assert "event_BD" in str(error.value) and f"({ROWS}, {dim + 1})" in str(error.value)


def _compare_steps(module: StreamingEncoder) -> None:
    # In float64: sums of as many terms in another order differ by more than the tolerance in float32.
    module.double()
    for rows in (ROWS, 1):
        events, lengths = _events(module, rows), torch.full((rows,), STEPS)
        for times in (None, draw_times(rows, STEPS)):
            expected = module(events, lengths, times)
            state = module.initial_state(rows)
            for t in range(STEPS):
                state, output = module.step(state, events[:, t], None if times is None else times[:, t])
                close(output, expected[:, t])


def _events(module: StreamingEncoder, rows: int) -> Tensor:
    dim: int = module.dim  # type: ignore[assignment]  # a size that every encoder keeps
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    return torch.randn(rows, STEPS, dim, generator=torch.Generator().manual_seed(1)).to(dtype)


def _streaming(case: Case, **changed: int) -> StreamingEncoder:
    module = case.build(**changed).eval()
    if not isinstance(module, StreamingEncoder):
        pytest.skip("it is no StreamingEncoder")
    assert module.causal, "a StreamingEncoder is causal"
    return module
