"""The promises of a SequenceEncoder, and of a StreamingEncoder or a MaskedEncoder where it is one."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import MaskedEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close, pattern
from torchrec_ext.testing.history import EVENTS, draw_times, padded, real_positions
from torchrec_ext.testing.masked import MaskedPromises, hide
from torchrec_ext.testing.streaming import StreamingPromises


class EncoderContract(StreamingPromises, MaskedPromises):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (*inputs[0].shape[:2], module.out_dim)

    def real(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        return output * real_positions(inputs[1], output.shape[1]).unsqueeze(2)

    def besides(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        ways = super().besides(module, inputs)
        if isinstance(module, MaskedEncoder):
            ways.append({**ways[-1], "masked_BT": hide(*inputs)})
        return ways

    def test_padding_does_not_change_a_real_state(self, case: Case) -> None:
        """Neither its values nor how much of it there is."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        for times in (None, draw_times(ROWS)):
            expected = self.real(module(events, lengths, times), (events, lengths))
            for more, more_times in padded(events, lengths, times):
                states = self.real(module(more, lengths, more_times), (more, lengths))
                close(states[:, :EVENTS], expected)

    def test_a_causal_state_does_not_see_the_future(self, case: Case) -> None:
        """The gradient of state t with respect to events after t is exactly zero; later times change none."""
        module = case.build().eval()
        if not module.causal:
            pytest.skip("it is not causal")
        events, _ = self.draw(case)
        events.requires_grad_()
        lengths = torch.full((ROWS,), EVENTS)
        for times in (None, draw_times(ROWS)):
            states = module(events, lengths, times)
            for t in range(EVENTS - 1):
                part = (states[:, t] * pattern(states[:, t])).sum()
                (slope,) = torch.autograd.grad(part, events, retain_graph=True)
                assert not slope[:, t + 1 :].any(), f"state {t} depends on an event after it"
                if times is not None:
                    later = times.clone()
                    later[:, t + 1 :] += 1e6
                    close(module(events, lengths, later)[:, : t + 1], states[:, : t + 1])
