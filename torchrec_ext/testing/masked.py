"""The promises of a MaskedEncoder."""

import inspect

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import MaskedEncoder
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, random_weights
from torchrec_ext.testing.expect import expect_close, expect_refusal, expect_zero
from torchrec_ext.testing.history import EVENTS, HistoryContract, draw_times, real_positions
from torchrec_ext.testing.promise import promise


class MaskedPromises(HistoryContract):
    """The promises of the encoders' contract that are skipped for a module that cannot hide events."""

    @promise
    def test_a_hidden_event_changes_nothing(self, case: Case) -> None:
        """No state depends on the vector or the time of a hidden event."""
        module = _masked(case)
        events, lengths = self.draw(case)
        hidden = hide(events, lengths)
        noise = torch.randn(events.shape, generator=torch.Generator().manual_seed(5))
        others = torch.where(hidden.unsqueeze(2), noise * 100, events).requires_grad_()
        for times in (None, draw_times(ROWS)):
            other_times = None if times is None else times + 1e5 * hidden
            expected = self.without_padding(module(events, lengths, times, hidden), (events, lengths))
            states = self.without_padding(module(others, lengths, other_times, hidden), (events, lengths))
            expect_close(states, expected, "the states with other hidden events", tolerance=0)
            (gradient,) = torch.autograd.grad((states * random_weights(states)).sum(), others)
            expect_zero(gradient[hidden], "the gradient of a hidden event")

    @promise
    def test_without_a_mask_nothing_is_hidden(self, case: Case) -> None:
        """Without ``masked_BT`` every real event has a gradient, as with a mask that hides nothing."""
        module = _masked(case)
        events, lengths = self.draw(case)
        events.requires_grad_()
        nothing = torch.zeros(ROWS, EVENTS, dtype=torch.bool)
        expected = self.without_padding(module(events, lengths, masked_BT=nothing), (events, lengths))
        states = self.without_padding(module(events, lengths), (events, lengths))
        expect_close(states, expected, "the states without a mask")
        (gradient,) = torch.autograd.grad((states * random_weights(states)).sum(), events)
        seen = gradient.abs().sum(2) > 0
        expect_close(seen, real_positions(lengths, EVENTS), "whether each event has a gradient", tolerance=0)

    @promise
    def test_hidden_padding_changes_nothing(self, case: Case) -> None:
        """A mask may be True or False at padding, with the same result."""
        module = _masked(case)
        events, lengths = self.draw(case)
        hidden = hide(events, lengths)
        expected = self.without_padding(module(events, lengths, masked_BT=hidden), (events, lengths))
        more = hidden | ~real_positions(lengths, EVENTS)
        states = self.without_padding(module(events, lengths, masked_BT=more), (events, lengths))
        expect_close(states, expected, "the states with a mask that is True at padding")

    @promise
    def test_a_wrong_mask_is_named(self, case: Case) -> None:
        """A mask of a wrong shape raises a ValueError that names it and shows the shape."""
        module = _masked(case)
        inputs = self.draw(case)
        mask = hide(*inputs)[:, 1:]
        expect_refusal(lambda: module(*inputs, masked_BT=mask), "masked_BT", str(tuple(mask.shape)))

    @promise
    def test_masked_share_is_between_0_and_1(self, case: Case) -> None:
        """``masked_share`` is above 0 and below 1, and another value raises a ValueError that names it."""
        share = _masked(case).masked_share
        assert 0 < share < 1, f"masked_share should be above 0 and below 1, received {share}"
        if "masked_share" not in inspect.signature(case.cls).parameters:
            return
        for share in (-0.5, 0.0, 1.0, 1.5):
            build = lambda share=share: case.build(masked_share=share)  # noqa: E731
            expect_refusal(build, "masked_share", str(share))


def hide(events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    """``(B, T)`` bool: every second real event of a history, the newest among them."""
    back_BT = lengths_B.unsqueeze(1) - 1 - torch.arange(events_BTD.shape[1])
    return (back_BT >= 0) & (back_BT % 2 == 0)


def _masked(case: Case) -> MaskedEncoder:
    module = case.build().eval()
    if not isinstance(module, MaskedEncoder):
        pytest.skip("it is not a MaskedEncoder")
    assert not module.causal, "causal of a MaskedEncoder should be False, received True"
    return module
