"""The promises of a TargetAttention, and of a SupervisedTargetAttention where it is one."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from torchrec_ext.contracts import SupervisedTargetAttention
from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS, close
from torchrec_ext.testing.history import EVENTS, draw_lengths, padded
from torchrec_ext.testing.module import ModuleContract


class TargetAttentionContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        dim = case.arguments["dim"]
        target = torch.randn(rows, dim, generator=generator)
        return target, torch.randn(rows, EVENTS, dim, generator=generator), draw_lengths(rows)

    def resized(self, case: Case) -> list[tuple[Tensor, ...]]:
        target, events, lengths = self.draw(case, ROWS + 2, seed=7)
        alone, history, _ = self.draw(case, 1, seed=8)
        return [
            (target, torch.cat([events, events.flip(1)], dim=1), 2 * lengths),
            (target, events[:, :3], lengths.clamp(max=3)),
            (alone, history, torch.tensor([3])),
        ]

    def learnt(self, module: Any, inputs: tuple[Tensor, ...]) -> list[Tensor]:
        if isinstance(module, SupervisedTargetAttention):
            return [*module.forward_and_loss(*inputs)]
        return super().learnt(module, inputs)

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]), module.out_dim)

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        target, events, lengths = self.draw(case)
        return [
            ("target_BD", (torch.cat([target, target[:, :1]], dim=1), events, lengths)),
            ("events_BTD", (target, torch.cat([events, events[:, :, :1]], dim=2), lengths)),
            ("events_BTD", (target, events[:, 0], lengths)),
            ("lengths_B", (target, events, lengths[:-1])),
        ]

    def test_an_empty_history_gives_zeros(self, case: Case) -> None:
        """Exactly, in training too, and a gradient through it is finite."""
        module = case.build()
        target, events, _ = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1):
            output = module(target, events[:, :steps], torch.zeros(ROWS, dtype=torch.int64))
            assert not output.any()
            if output.requires_grad:
                (slope,) = torch.autograd.grad(output.sum(), events, allow_unused=True)
                assert slope is None or slope.isfinite().all()

    def test_padding_does_not_change_a_result(self, case: Case) -> None:
        """Neither its values nor how much of it there is."""
        module = case.build().eval()
        target, events, lengths = self.draw(case)
        expected = module(target, events, lengths)
        for more, _ in padded(events, lengths):
            close(module(target, more, lengths), expected)

    def test_lengths_of_either_width(self, case: Case) -> None:
        """TorchRec hands over int32 and int64 lengths alike."""
        module = case.build().eval()
        target, events, lengths = self.draw(case)
        assert torch.equal(module(target, events, lengths.int()), module(target, events, lengths))

    def test_a_history_may_exceed_max_length(self, case: Case) -> None:
        """It may be handed more events than its ``max_length``, if it has one."""
        if "max_length" not in inspect.signature(case.cls).parameters:
            pytest.skip("it has no max_length")
        module = case.build(max_length=EVENTS - 1).eval()
        inputs = self.draw(case)
        output = module(*inputs)
        assert tuple(output.shape) == self.size(module, inputs) and output.isfinite().all()

    def test_forward_and_loss_gives_what_forward_gives(self, case: Case) -> None:
        """And one finite number."""
        module = _supervised(case).eval()
        for rows in (ROWS, 1):
            inputs = self.draw(case, rows)
            output, loss = _with_loss(module, inputs)
            close(output, module(*inputs))
            assert loss.shape == () and loss.isfinite()

    def test_no_event_has_no_loss(self, case: Case) -> None:
        """The loss is zero where no history has an event, in training too, and its gradients are finite."""
        module = _supervised(case)
        target, events, _ = self.draw(case)
        events.requires_grad_()
        for steps in (EVENTS, 1):
            _, loss = _with_loss(module, (target, events[:, :steps], torch.zeros(ROWS, dtype=torch.int64)))
            assert loss == 0
            if loss.requires_grad:
                wanted = [events, *module.parameters()]
                for slope in torch.autograd.grad(loss, wanted, allow_unused=True):
                    assert slope is None or slope.isfinite().all()

    def test_padding_does_not_change_the_loss(self, case: Case) -> None:
        """What stands there, drawn alike if the loss draws anything."""
        module = _supervised(case).eval()
        target, events, lengths = self.draw(case)
        refilled, _ = next(padded(events, lengths))
        _, expected = _with_loss(module, (target, events, lengths))
        _, loss = _with_loss(module, (target, refilled, lengths))
        close(loss, expected)


def _with_loss(module: SupervisedTargetAttention, inputs: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        return module.forward_and_loss(*inputs)


def _supervised(case: Case) -> SupervisedTargetAttention:
    module = case.build()
    if not isinstance(module, SupervisedTargetAttention):
        pytest.skip("it has no loss of its own")
    return module
