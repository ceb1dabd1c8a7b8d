"""The promises of a SequenceEncoder, and of a StreamingEncoder where it is one."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.history import EVENTS, HistoryContract, real_positions, refill_padding
from torchrec_ext.testing.module import ROWS, close, pattern


class EncoderContract(HistoryContract):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (*inputs[0].shape[:2], module.out_dim)

    def real(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        return output * real_positions(inputs[1], output.shape[1]).unsqueeze(2)

    def test_padding_does_not_change_a_real_state(self, case: Case) -> None:
        """Neither its values nor how much of it there is."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        expected = self.real(module(events, lengths), (events, lengths))
        for padded in refill_padding(events, lengths):
            close(self.real(module(padded, lengths), (padded, lengths))[:, :EVENTS], expected)

    def test_a_causal_state_does_not_see_the_future(self, case: Case) -> None:
        """The gradient of state t with respect to events after t is zero, exactly."""
        module = case.build().eval()
        if not module.causal:
            pytest.skip("it is not causal")
        events, _ = self.draw(case)
        events.requires_grad_()
        states = module(events, torch.full((ROWS,), EVENTS))
        for t in range(EVENTS - 1):
            part = (states[:, t] * pattern(states[:, t])).sum()
            (slope,) = torch.autograd.grad(part, events, retain_graph=True)
            assert not slope[:, t + 1 :].any(), f"state {t} depends on an event after it"

    def test_steps_equal_forward(self, case: Case) -> None:
        """One event at a time gives each state of the whole history, for any number of users."""
        for rows in (ROWS, 1):
            module = _streaming(case)
            events, _ = self.draw(case, rows)
            expected = module(events, torch.full((rows,), EVENTS))
            state = module.initial_state(rows)
            for t in range(EVENTS):
                state, output = module.step(state, events[:, t])
                close(output, expected[:, t])

    def test_a_step_leaves_the_state_before_it_alone(self, case: Case) -> None:
        """Two futures may go on from one state."""
        module = _streaming(case)
        events, _ = self.draw(case)
        state, _ = module.step(module.initial_state(ROWS), events[:, 0])
        _, once = module.step(state, events[:, 1])
        module.step(state, events[:, 2])
        _, again = module.step(state, events[:, 1])
        assert torch.equal(once, again)

    def test_a_wrong_event_is_named(self, case: Case) -> None:
        """The error of ``step`` names the argument and the shape received."""
        module = _streaming(case)
        dim = case.arguments["dim"]
        with pytest.raises(ValueError) as error:
            module.step(module.initial_state(ROWS), torch.zeros(ROWS, dim + 1))
        assert "event_BD" in str(error.value) and f"({ROWS}, {dim + 1})" in str(error.value)


def _streaming(case: Case) -> StreamingEncoder:
    module = case.build().eval()
    if not isinstance(module, StreamingEncoder):
        pytest.skip("it is no StreamingEncoder")
    assert module.causal, "a StreamingEncoder is causal"
    return module
