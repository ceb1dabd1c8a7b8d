"""The promises of a MaskedEncoder."""

import inspect

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import MaskedEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close, pattern
from torchrec_ext.testing.history import EVENTS, HistoryContract, draw_times, real_positions


class MaskedPromises(HistoryContract):
    """The part of the encoders' contract that a module which cannot hide events skips."""

    def test_a_hidden_event_changes_nothing(self, case: Case) -> None:
        """Its vector and its time: no state differs by a bit, and the gradient of its vector is zero."""
        module = _masked(case)
        events, lengths = self.draw(case)
        hidden = hide(events, lengths)
        noise = torch.randn(events.shape, generator=torch.Generator().manual_seed(5))
        others = torch.where(hidden.unsqueeze(2), noise * 100, events).requires_grad_()
        for times in (None, draw_times(ROWS)):
            other_times = None if times is None else times + 1e5 * hidden
            expected = self.real(module(events, lengths, times, hidden), (events, lengths))
            states = self.real(module(others, lengths, other_times, hidden), (events, lengths))
            assert torch.equal(states, expected)
            (slope,) = torch.autograd.grad((states * pattern(states)).sum(), others)
            assert not slope[hidden].any(), "a hidden event has a gradient"

    def test_without_a_mask_nothing_is_hidden(self, case: Case) -> None:
        """As with a mask that hides nothing: every real event has a gradient."""
        module = _masked(case)
        events, lengths = self.draw(case)
        events.requires_grad_()
        nothing = torch.zeros(ROWS, EVENTS, dtype=torch.bool)
        expected = self.real(module(events, lengths, masked_BT=nothing), (events, lengths))
        states = self.real(module(events, lengths), (events, lengths))
        close(states, expected)
        (slope,) = torch.autograd.grad((states * pattern(states)).sum(), events)
        seen = slope.abs().sum(2) > 0
        assert torch.equal(seen, real_positions(lengths, EVENTS)), "not every event has a gradient"

    def test_hidden_padding_changes_nothing(self, case: Case) -> None:
        """Whether it is said to be hidden or not."""
        module = _masked(case)
        events, lengths = self.draw(case)
        hidden = hide(events, lengths)
        expected = self.real(module(events, lengths, masked_BT=hidden), (events, lengths))
        more = hidden | ~real_positions(lengths, EVENTS)
        close(self.real(module(events, lengths, masked_BT=more), (events, lengths)), expected)

    def test_a_wrong_mask_is_named(self, case: Case) -> None:
        """The error names the argument and the shape received."""
        module = _masked(case)
        events, lengths = self.draw(case)
        with pytest.raises(ValueError) as error:
            module(events, lengths, masked_BT=hide(events, lengths)[:, 1:])
        assert "masked_BT" in str(error.value) and str((ROWS, EVENTS - 1)) in str(error.value)

    def test_masked_share_is_a_share(self, case: Case) -> None:
        """Above 0 and below 1; the error names it and the value."""
        assert 0 < _masked(case).masked_share < 1
        if "masked_share" not in inspect.signature(case.cls).parameters:
            return
        for share in (-0.5, 0.0, 1.0, 1.5):
            with pytest.raises(ValueError) as error:
                case.build(masked_share=share)
            assert "masked_share" in str(error.value) and str(share) in str(error.value)


def hide(events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """``(B, T)`` bool: every second real event of a history, the newest among them."""
    back_BT = lengths_B.unsqueeze(1) - 1 - torch.arange(events_BTD.shape[1])
    return (back_BT >= 0) & (back_BT % 2 == 0)


def _masked(case: Case) -> MaskedEncoder:
    module = case.build().eval()
    if not isinstance(module, MaskedEncoder):
        pytest.skip("it is no MaskedEncoder")
    assert not module.causal, "a MaskedEncoder is not causal"
    return module
