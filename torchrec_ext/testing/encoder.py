"""The promises of a SequenceEncoder, and of a StreamingEncoder or a MaskedEncoder."""

from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import MaskedEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, random_weights
from torchrec_ext.testing.expect import expect_close, expect_zero
from torchrec_ext.testing.history import EVENTS, draw_times, padded, real_positions
from torchrec_ext.testing.masked import MaskedPromises, hide
from torchrec_ext.testing.promise import promise
from torchrec_ext.testing.streaming import StreamingPromises


class EncoderContract(StreamingPromises, MaskedPromises):
    """Subclass it as ``Test...`` and set ``cases``; each case needs ``dim``."""

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (*inputs[0].shape[:2], module.out_dim)

    def without_padding(self, output: Tensor, inputs: tuple[Tensor, ...]) -> Tensor:
        return output * real_positions(inputs[1], output.shape[1]).unsqueeze(2)

    def optional_inputs(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        ways = super().optional_inputs(module, inputs)
        if isinstance(module, MaskedEncoder):
            ways.append({**ways[-1], "masked_BT": hide(*inputs)})
        return ways

    @promise
    def test_padding_does_not_change_a_real_state(self, case: Case) -> None:
        """The state of a real event depends neither on the values nor on the amount of padding."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        for times in (None, draw_times(ROWS)):
            expected = self.without_padding(module(events, lengths, times), (events, lengths))
            for more, more_times in padded(events, lengths, times):
                states = self.without_padding(module(more, lengths, more_times), (more, lengths))
                what = f"the states with other padding to {more.shape[1]} events"
                expect_close(states[:, :EVENTS], expected, what)

    @promise
    def test_a_causal_state_does_not_see_the_future(self, case: Case) -> None:
        """State t of a causal encoder depends neither on the events after t nor on their times."""
        module = case.build().eval()
        if not module.causal:
            pytest.skip("it is not causal")
        events, _ = self.draw(case)
        events.requires_grad_()
        lengths = torch.full((ROWS,), EVENTS)
        for times in (None, draw_times(ROWS)):
            states = module(events, lengths, times)
            for t in range(EVENTS - 1):
                part = (states[:, t] * random_weights(states[:, t])).sum()
                (gradient,) = torch.autograd.grad(part, events, retain_graph=True)
                expect_zero(gradient[:, t + 1 :], f"the gradient of state {t} for later events")
                if times is not None:
                    later = times.clone()
                    later[:, t + 1 :] += 1e6
                    received = module(events, lengths, later)[:, : t + 1]
                    expect_close(received, states[:, : t + 1], f"states 0 to {t} with other later times")
