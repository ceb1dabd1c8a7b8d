"""The promises of a TargetAttention, and of a SupervisedTargetAttention."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from torchrec_ext.contracts import SupervisedTargetAttention
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_close, expect_finite, expect_shape, expect_zero
from torchrec_ext.testing.history import (
    EVENTS,
    EventWeightsContract,
    draw_lengths,
    padded,
    real_positions,
)
from torchrec_ext.testing.promise import promise, slow


class TargetAttentionContract(EventWeightsContract):
    """Subclass it as ``Test...`` and set ``cases``; each case needs ``dim``."""

    axes = ({0: "batch"}, {0: "batch", 1: "events"}, {0: "batch"}, {0: "batch", 1: "events"})

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        dim = case.arguments["dim"]
        target = torch.randn(rows, dim, generator=generator)
        inputs = target, torch.randn(rows, EVENTS, dim, generator=generator), draw_lengths(rows)
        if case.build().match is None:
            return inputs
        return *inputs, torch.rand(rows, EVENTS, generator=generator) < 0.8

    def other_sizes(self, case: Case) -> list[tuple[Tensor, ...]]:
        target, events, lengths, *matches = self.draw(case, ROWS + 2, seed=7)
        alone, history, _, *its = self.draw(case, 1, seed=8)
        longer, *twice = (torch.cat([each, each.flip(1)], dim=1) for each in (events, *matches))
        return [
            (target, longer, 2 * lengths, *twice),
            (target, events[:, :3], lengths.clamp(max=3), *(each[:, :3] for each in matches)),
            (alone, history, torch.tensor([3]), *its),
        ]

    def outputs_to_learn(self, module: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        if isinstance(module, SupervisedTargetAttention):
            return [*module.forward_and_loss(*inputs)]
        return super().outputs_to_learn(module, inputs)

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.out_dim)

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        target, events, lengths, *matches = self.draw(case)
        return [
            ("target_BD", (torch.cat([target, target[:, :1]], dim=1), events, lengths, *matches)),
            ("events_BTD", (target, torch.cat([events, events[:, :, :1]], dim=2), lengths, *matches)),
            ("events_BTD", (target, events[:, 0], lengths, *matches)),
            ("lengths_B", (target, events, lengths[:-1], *matches)),
            *(("matches_BT", (target, events, lengths, each[:, 1:])) for each in matches),
        ]

    @promise
    def test_an_empty_history_gives_zeros(self, case: Case) -> None:
        """Empty histories, with padding or of 0 events, give zeros and finite gradients, in training too."""
        module = case.build()
        target, events, _, *matches = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1, 0):
            lengths = torch.zeros(ROWS, dtype=torch.int64)
            inputs = target, events[:, :steps], lengths, *(each[:, :steps] for each in matches)
            output = module(*inputs)
            what = f"of empty histories padded to {steps} events"
            expect_shape(output, self.output_shape(module, inputs), f"the output {what}")
            expect_zero(output, f"the output {what}")
            if output.requires_grad:
                (gradient,) = torch.autograd.grad(output.sum(), events, allow_unused=True)
                if gradient is not None:
                    expect_finite(gradient, f"the gradient of events_BTD {what}")

    @promise
    def test_padding_does_not_change_a_result(self, case: Case) -> None:
        """The result depends neither on the values nor on the amount of padding."""
        module = case.build().eval()
        target, events, lengths, *matches = self.draw(case)
        expected = module(target, events, lengths, *matches)
        for more, _ in padded(events, lengths):
            what = f"the result with other padding to {more.shape[1]} events"
            real = real_positions(lengths, EVENTS)
            others = [pad(each | ~real, (0, more.shape[1] - EVENTS), value=True) for each in matches]
            expect_close(module(target, more, lengths, *others), expected, what)

    @promise
    def test_int32_lengths_give_the_same(self, case: Case) -> None:
        """Lengths may be int32 or int64: TorchRec gives both."""
        module = case.build().eval()
        target, events, lengths, *matches = self.draw(case)
        output, expected = (module(target, events, some, *matches) for some in (lengths.int(), lengths))
        expect_close(output, expected, "the output with int32 lengths", tolerance=0)

    @promise
    def test_a_history_may_exceed_max_length(self, case: Case) -> None:
        """A history of more events than ``max_length`` gives a finite output of the promised shape."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        module = case.build(max_length=EVENTS - 1).eval()
        inputs = self.draw(case)
        output = module(*inputs)
        what = f"the output for {EVENTS} events and max_length={EVENTS - 1}"
        expect_shape(output, self.output_shape(module, inputs), what)
        expect_finite(output, what)

    @promise
    def test_forward_and_loss_gives_what_forward_gives(self, case: Case) -> None:
        """The first result of ``forward_and_loss`` is that of ``forward``, the second a finite scalar."""
        module = _supervised(case).eval()
        for rows in (ROWS, 1):
            inputs = self.draw(case, rows)
            output, loss = _with_loss(module, inputs)
            expect_close(output, module(*inputs), "the first result of forward_and_loss")
            expect_shape(loss, (), "the loss")
            expect_finite(loss, "the loss")

    @promise
    def test_empty_histories_have_no_loss(self, case: Case) -> None:
        """The loss of empty histories or of 0 rows is 0, in training too, and its gradients are finite."""
        module = _supervised(case)
        target, events, _ = self.draw(case)
        events.requires_grad_()
        for rows, steps in ((ROWS, EVENTS), (ROWS, 1), (ROWS, 0), (0, EVENTS)):
            lengths = torch.zeros(rows, dtype=torch.int64)
            _, loss = _with_loss(module, (target[:rows], events[:rows, :steps], lengths))
            expect_zero(loss, f"the loss of {rows} rows padded to {steps} events")
            if loss.requires_grad:
                named = [("events_BTD", events), *module.named_parameters()]
                gradients = torch.autograd.grad(loss, [t for _, t in named], allow_unused=True)
                for (name, _), gradient in zip(named, gradients, strict=True):
                    if gradient is not None:
                        expect_finite(gradient, f"the gradient of {name} of {rows} rows of {steps} events")

    @promise
    def test_padding_does_not_change_the_loss(self, case: Case) -> None:
        """The loss does not depend on the values at padding; random draws are the same in both calls."""
        module = _supervised(case).eval()
        target, events, lengths = self.draw(case)
        refilled, _ = next(padded(events, lengths))
        _, expected = _with_loss(module, (target, events, lengths))
        _, loss = _with_loss(module, (target, refilled, lengths))
        expect_close(loss, expected, "the loss with other padding")

    @slow()
    @promise
    def test_export_leaves_the_number_of_events_open(self, case: Case) -> None:
        """A saved program of ``torch.export`` with a dynamic number of events gives the same."""
        self.compare_exported(case, self.axes, self.other_sizes(case))


def _with_loss(module: SupervisedTargetAttention, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return module.forward_and_loss(*inputs)


def _supervised(case: Case) -> SupervisedTargetAttention:
    module = case.build()
    if not isinstance(module, SupervisedTargetAttention):
        pytest.skip("it has no auxiliary loss")
    return module
