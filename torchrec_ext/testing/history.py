"""The promises of the modules that read a history alone: encoders of one state per event, or of interests."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from torchrec_ext.contracts import WeighsEvents
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_close, expect_finite, expect_refusal, expect_shape, expect_zero
from torchrec_ext.testing.module import ModuleContract
from torchrec_ext.testing.promise import promise, slow

EVENTS = 6


class EventWeightsContract(ModuleContract):
    """The promise of a module that shows its attention, see :class:`torchrec_ext.contracts.WeighsEvents`."""

    @promise
    def test_event_weights_are_0_at_padding(self, case: Case) -> None:
        """``event_weights`` are ``(B, T)`` and finite, 0 at padding, and do not depend on its values."""
        module = case.build().eval()
        if not isinstance(module, WeighsEvents):
            pytest.skip("it has no event_weights")
        inputs = self.draw(case)
        matches = [each for each in inputs if each.dtype == torch.bool]  # of a target attention with match
        *target, events, lengths = inputs[: len(inputs) - len(matches)]
        expected = module.event_weights(*target, events, lengths, *matches)
        for steps in (EVENTS, 1, 0):
            fewer = (each[:, :steps] for each in matches)
            weights = module.event_weights(*target, events[:, :steps], lengths.clamp(max=steps), *fewer)
            expect_shape(weights, (ROWS, steps), "the weights")
            expect_finite(weights, "the weights")
            expect_zero(weights * ~real_positions(lengths, steps), "the weights at padding")
        for more, _ in padded(events, lengths):
            others = (pad(each, (0, more.shape[1] - EVENTS), value=True) for each in matches)
            weights = module.event_weights(*target, more, lengths, *others)
            expect_close(weights[:, :EVENTS], expected, "the weights with other padding")


class HistoryContract(EventWeightsContract):
    """The promises of both kinds of encoders; each case needs ``dim``."""

    axes = ({0: "batch", 1: "events"}, {0: "batch"})
    optional_axes = {0: "batch", 1: "events"}

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        events = torch.randn(rows, EVENTS, case.arguments["dim"], generator=generator)
        return events, draw_lengths(rows)

    def other_sizes(self, case: Case) -> list[tuple[Tensor, ...]]:
        events, lengths = self.draw(case, ROWS + 2, seed=7)
        alone, _ = self.draw(case, 1, seed=8)
        return [
            (torch.cat([events, events.flip(1)], dim=1), 2 * lengths),
            (events[:, :3], lengths.clamp(max=3)),
            (alone, torch.tensor([3])),
        ]

    def optional_inputs(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        return [{}, {"times_BT": draw_times(*inputs[0].shape[:2])}]

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        events, lengths = self.draw(case)
        return [
            ("events_BTD", (torch.cat([events, events[:, :, :1]], dim=2), lengths)),
            ("events_BTD", (events[:, 0], lengths)),
            ("lengths_B", (events, lengths[:-1])),
        ]

    @promise
    def test_histories_without_an_event_are_finite(self, case: Case) -> None:
        """A batch of empty histories, with padding or of 0 events, gives finite outputs and gradients."""
        module = case.build()
        events, _ = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1, 0):
            inputs = events[:, :steps], torch.zeros(ROWS, dtype=torch.int64)
            output = module(*inputs)
            what = f"of empty histories padded to {steps} events"
            expect_shape(output, self.output_shape(module, inputs), f"the output {what}")
            expect_finite(output, f"the output {what}")
            if output.requires_grad:
                named = [("events_BTD", events), *module.named_parameters()]
                gradients = torch.autograd.grad(output.sum(), [t for _, t in named], allow_unused=True)
                for (name, _), gradient in zip(named, gradients, strict=True):
                    if gradient is not None:
                        expect_finite(gradient, f"the gradient of {name} {what}")

    @promise
    def test_a_history_may_exceed_max_length(self, case: Case) -> None:
        """A history of more events than ``max_length`` gives a finite output of the promised shape."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        module = case.build(max_length=EVENTS - 1).eval()
        inputs = self.draw(case)
        for more in self.optional_inputs(module, inputs):
            output = module(*inputs, **more)
            what = f"the output for {EVENTS} events and max_length={EVENTS - 1}"
            expect_shape(output, self.output_shape(module, inputs), what)
            expect_finite(self.without_padding(output, inputs), what)

    @promise
    def test_int32_lengths_give_the_same(self, case: Case) -> None:
        """Lengths may be int32 or int64: TorchRec gives both."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        output, expected = (module(events, some) for some in (lengths.int(), lengths))
        expect_close(output, expected, "the output with int32 lengths", tolerance=0)

    @promise
    def test_times_may_be_given(self, case: Case) -> None:
        """Times in seconds change the result if the module's ``reads_times`` is True, and not otherwise."""
        module = case.build().eval()
        inputs = self.draw(case)
        plain = self.without_padding(module(*inputs), inputs)
        output = module(*inputs, times_BT=draw_times(ROWS))
        expect_shape(output, self.output_shape(module, inputs), "the output with times")
        output = self.without_padding(output, inputs)
        expect_finite(output, "the output with times")
        if module.reads_times:
            changed = not torch.equal(output, plain)
            assert changed, "times should change the output, because reads_times is True; it is the same"
        else:
            expect_close(output, plain, "the output with times, where reads_times is False,", tolerance=0)

    @promise
    def test_wrong_times_are_named(self, case: Case) -> None:
        """A module that reads times refuses times of another shape than the events."""
        module = case.build().eval()
        if not module.reads_times:
            pytest.skip("it does not read times")
        inputs, times = self.draw(case), draw_times(ROWS)[:, 1:]
        expect_refusal(lambda: module(*inputs, times_BT=times), "times_BT", str(tuple(times.shape)))

    @slow()
    @promise
    def test_export_leaves_the_number_of_events_open(self, case: Case) -> None:
        """A saved program of ``torch.export`` with a dynamic number of events gives the same."""
        self.compare_exported(case, self.axes, self.other_sizes(case))


def draw_lengths(rows: int) -> Tensor:
    """``(rows,)`` lengths of full, empty and short histories of at most ``EVENTS`` events."""
    return torch.tensor([EVENTS, 0, 1, EVENTS - 2, 2])[torch.arange(rows) % 5]


def draw_times(rows: int, events: int = EVENTS, seed: int = 6) -> Tensor:
    """``(rows, events)`` float64 seconds that grow by a minute to a week; two events of a row are at once."""
    generator = torch.Generator().manual_seed(seed)
    gaps = 60 * 10_080 ** torch.rand(rows, events, dtype=torch.float64, generator=generator)
    gaps[:, events // 2 : events // 2 + 1] = 0
    return 1e9 + gaps.round().cumsum(1)


def padded(
    events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Events and times with large noise at padding: first of the same size, then of three more events."""
    noise = torch.randn(events_BTD.shape, generator=torch.Generator().manual_seed(5))
    real_BT = real_positions(lengths_B, events_BTD.shape[1])
    events = torch.where(real_BT.unsqueeze(2), events_BTD, noise * 100)
    times = None if times_BT is None else torch.where(real_BT, times_BT, 0.0)
    yield events, times
    yield torch.cat([events, noise[:, :3]], 1), None if times is None else torch.cat([times, times[:, :3]], 1)


def real_positions(lengths_B: Tensor, events: int) -> Tensor:
    """``(B, events)`` bool, True where an event is real."""
    return torch.arange(events) < lengths_B.unsqueeze(1)
