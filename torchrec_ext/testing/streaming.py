"""The promises of a StreamingEncoder."""

import inspect

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_close, expect_refusal, expect_shape
from torchrec_ext.testing.history import HistoryContract, draw_times
from torchrec_ext.testing.promise import promise
from torchrec_ext.testing.quantized import expect_small_error, quantize

STEPS = 20
MAX_LENGTH = 4


class StreamingPromises(HistoryContract):
    """The promises of the encoders' contract that are skipped for a module without ``step``."""

    @promise
    def test_steps_equal_forward(self, case: Case) -> None:
        """One ``step`` for each event gives the states of ``forward``, with times and without."""
        _compare_steps(_streaming(case))

    @promise
    def test_steps_equal_forward_beyond_max_length(self, case: Case) -> None:
        """Steps equal ``forward`` for histories that are several times as long as a small ``max_length``."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        _compare_steps(_streaming(case, max_length=MAX_LENGTH))
        _compare_steps(_streaming(case, max_length=1))

    @promise
    def test_a_step_of_0_rows_gives_0_rows(self, case: Case) -> None:
        """A step of 0 users gives ``(0, out_dim)``, from the first state and from a later one."""
        module = _streaming(case)
        events = _events(module, 0)
        state = module.initial_state(0)
        for t in range(2):
            state, output = module.step(state, events[:, t])
            expect_shape(output, (0, module.out_dim), f"the output of step {t}")

    @promise
    def test_a_step_does_not_change_its_state(self, case: Case) -> None:
        """``step`` does not change its state in place: another step from it gives the same."""
        module = _streaming(case)
        events = _events(module, ROWS)
        state = module.initial_state(ROWS)
        for t in range(3):
            _, once = module.step(state, events[:, t])
            module.step(state, events[:, t + 1])
            following, again = module.step(state, events[:, t])
            expect_close(again, once, f"the output of step {t} after another step", tolerance=0)
            state = following

    @promise
    def test_a_wrong_event_is_named(self, case: Case) -> None:
        """An event of a wrong width raises a ValueError in ``step`` that names it and shows the shape."""
        module = _streaming(case)
        event = torch.zeros(ROWS, case.arguments["dim"] + 1)
        step = lambda: module.step(module.initial_state(ROWS), event)  # noqa: E731
        expect_refusal(step, "event_BD", str(tuple(event.shape)))

    @promise
    def test_quantized_steps_are_close(self, case: Case) -> None:
        """With int8 weights of its linear and recurrent layers a step is within 10% of the float step."""
        module = _streaming(case)
        small = quantize(module)
        assert isinstance(small, StreamingEncoder)
        events = _events(module, ROWS)
        state, small_state = module.initial_state(ROWS), small.initial_state(ROWS)
        for t in range(3):
            state, exact = module.step(state, events[:, t])
            small_state, received = small.step(small_state, events[:, t])
            expect_small_error(received, exact)


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
                expect_close(output, expected[:, t], f"the output of step {t}")


def _events(module: StreamingEncoder, rows: int) -> Tensor:
    dim: int = module.dim  # type: ignore[assignment]  # a size that every encoder keeps
    dtype = next((p.dtype for p in module.parameters()), torch.float32)
    return torch.randn(rows, STEPS, dim, generator=torch.Generator().manual_seed(1)).to(dtype)


def _streaming(case: Case, **changed: int) -> StreamingEncoder:
    module = case.build(**changed).eval()
    if not isinstance(module, StreamingEncoder):
        pytest.skip("it is not a StreamingEncoder")
    assert module.causal, "causal of a StreamingEncoder should be True, received False"
    return module
