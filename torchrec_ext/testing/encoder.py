"""The promises of a SequenceEncoder, and of a StreamingEncoder where it is one."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.module import ROWS, ModuleContract, close, pattern

EVENTS = 6


class EncoderContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        events = torch.randn(rows, EVENTS, case.arguments["dim"], generator=generator)
        lengths = torch.tensor([EVENTS, 0, 1, EVENTS - 2, 2])[torch.arange(rows) % 5]
        return events, lengths

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (*inputs[0].shape[:2], module.out_dim)

    def real(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        return output * _real_positions(inputs[1], output.shape[1]).unsqueeze(2)

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        events, lengths = self.draw(case)
        return [
            ("events_BTD", (torch.cat([events, events[:, :, :1]], dim=2), lengths)),
            ("events_BTD", (events[:, 0], lengths)),
            ("lengths_B", (events, lengths[:-1])),
        ]

    def test_padding_does_not_change_a_real_state(self, case: Case) -> None:
        """Neither its values nor how much of it there is."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        expected = self.real(module(events, lengths), (events, lengths))
        noise = torch.randn(events.shape, generator=torch.Generator().manual_seed(5))
        padding = ~_real_positions(lengths, EVENTS).unsqueeze(2)
        refilled = torch.where(padding, noise * 100, events)
        close(self.real(module(refilled, lengths), (events, lengths)), expected)
        longer = torch.cat([refilled, noise[:, :3]], dim=1)
        close(self.real(module(longer, lengths), (longer, lengths))[:, :EVENTS], expected)

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

    def test_histories_without_an_event_are_finite(self, case: Case) -> None:
        """Also where no history of the batch has one, and backwards."""
        module = case.build()
        events, _ = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1):
            states = module(events[:, :steps], torch.zeros(ROWS, dtype=torch.int64))
            assert states.isfinite().all()
            (slope,) = torch.autograd.grad(states.sum(), events)
            assert slope.isfinite().all()

    def test_lengths_of_either_width(self, case: Case) -> None:
        """TorchRec hands over int32 and int64 lengths alike."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        assert torch.equal(module(events, lengths.int()), module(events, lengths))

    def test_times_may_be_given(self, case: Case) -> None:
        """In seconds; an encoder may use them or not."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        times = 1e9 + torch.arange(EVENTS, dtype=torch.float64).mul(3600).expand(ROWS, -1)
        states = module(events, lengths, times_BT=times)
        assert tuple(states.shape) == self.size(module, (events, lengths))
        assert self.real(states, (events, lengths)).isfinite().all()

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


def _real_positions(lengths_B: Tensor, events: int) -> Tensor:
    return torch.arange(events) < lengths_B.unsqueeze(1)


def _streaming(case: Case) -> StreamingEncoder:
    module = case.build().eval()
    if not isinstance(module, StreamingEncoder):
        pytest.skip("it is no StreamingEncoder")
    assert module.causal, "a StreamingEncoder is causal"
    return module
