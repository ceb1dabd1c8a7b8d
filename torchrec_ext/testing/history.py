"""The promises of whatever reads histories by themselves: encoders of a state an event, or of interests."""

import inspect
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.module import ModuleContract

EVENTS = 6


class HistoryContract(ModuleContract):
    """What the contract tests of both kinds of encoders share; each case needs ``dim``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        events = torch.randn(rows, EVENTS, case.arguments["dim"], generator=generator)
        return events, draw_lengths(rows)

    def resized(self, case: Case) -> list[tuple[Tensor, ...]]:
        events, lengths = self.draw(case, ROWS + 2, seed=7)
        alone, _ = self.draw(case, 1, seed=8)
        return [
            (torch.cat([events, events.flip(1)], dim=1), 2 * lengths),
            (events[:, :3], lengths.clamp(max=3)),
            (alone, torch.tensor([3])),
        ]

    def besides(self, module: Any, inputs: tuple[Tensor, ...]) -> list[dict[str, Tensor]]:
        return [{}, {"times_BT": draw_times(*inputs[0].shape[:2])}]

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        events, lengths = self.draw(case)
        return [
            ("events_BTD", (torch.cat([events, events[:, :, :1]], dim=2), lengths)),
            ("events_BTD", (events[:, 0], lengths)),
            ("lengths_B", (events, lengths[:-1])),
        ]

    def test_histories_without_an_event_are_finite(self, case: Case) -> None:
        """Also where no history of the batch has one, and backwards."""
        module = case.build()
        events, _ = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1):
            output = module(events[:, :steps], torch.zeros(ROWS, dtype=torch.int64))
            assert output.isfinite().all()
            if output.requires_grad:
                wanted = [events, *module.parameters()]
                for slope in torch.autograd.grad(output.sum(), wanted, allow_unused=True):
                    assert slope is None or slope.isfinite().all()

    def test_a_history_may_exceed_max_length(self, case: Case) -> None:
        """An encoder may be handed more events than its ``max_length``, if it has one."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        module = case.build(max_length=EVENTS - 1).eval()
        inputs = self.draw(case)
        for more in self.besides(module, inputs):
            output = module(*inputs, **more)
            assert tuple(output.shape) == self.size(module, inputs)
            assert self.real(output, inputs).isfinite().all()

    def test_lengths_of_either_width(self, case: Case) -> None:
        """TorchRec hands over int32 and int64 lengths alike."""
        module = case.build().eval()
        events, lengths = self.draw(case)
        assert torch.equal(module(events, lengths.int()), module(events, lengths))

    def test_times_may_be_given(self, case: Case) -> None:
        """In seconds; they change the result of an encoder that says it reads them, and of no other."""
        module = case.build().eval()
        inputs = self.draw(case)
        plain = self.real(module(*inputs), inputs)
        output = module(*inputs, times_BT=draw_times(ROWS))
        assert tuple(output.shape) == self.size(module, inputs)
        assert self.real(output, inputs).isfinite().all()
        changed = not torch.equal(self.real(output, inputs), plain)
        assert changed == module.reads_times, f"reads_times is {module.reads_times}"

    def test_wrong_times_are_named(self, case: Case) -> None:
        """Times of another shape than the events are refused, if the encoder reads them."""
        module = case.build().eval()
        if not module.reads_times:
            pytest.skip("it does not read times")
        events, lengths = self.draw(case)
        with pytest.raises(ValueError) as error:
            module(events, lengths, times_BT=draw_times(ROWS)[:, 1:])
        message = str(error.value)
        assert "times_BT" in message and str((ROWS, EVENTS - 1)) in message, message


def draw_lengths(rows: int) -> Tensor:
    """``(rows,)`` lengths of full, empty and short histories of at most ``EVENTS`` events."""
    return torch.tensor([EVENTS, 0, 1, EVENTS - 2, 2])[torch.arange(rows) % 5]


def draw_times(rows: int, events: int = EVENTS, seed: int = 6) -> Tensor:
    """``(rows, events)`` float64 seconds that grow by a minute to a week, two events of one row at once."""
    generator = torch.Generator().manual_seed(seed)
    gaps = 60 * 10_080 ** torch.rand(rows, events, dtype=torch.float64, generator=generator)
    gaps[:, events // 2] = 0
    return 1e9 + gaps.round().cumsum(1)


def padded(
    events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """Events and times with large noise for padding: as much of it as there was, and three more."""
    noise = torch.randn(events_BTD.shape, generator=torch.Generator().manual_seed(5))
    real_BT = real_positions(lengths_B, events_BTD.shape[1])
    events = torch.where(real_BT.unsqueeze(2), events_BTD, noise * 100)
    times = None if times_BT is None else torch.where(real_BT, times_BT, 0.0)
    yield events, times
    yield torch.cat([events, noise[:, :3]], 1), None if times is None else torch.cat([times, times[:, :3]], 1)


def real_positions(lengths_B: Tensor, events: int) -> Tensor:
    """``(B, events)`` bool, which of that many events are real."""
    return torch.arange(events) < lengths_B.unsqueeze(1)
