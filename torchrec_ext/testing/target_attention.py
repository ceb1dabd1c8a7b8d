"""The promises of a TargetAttention."""

from typing import Any

import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.module import ROWS, ModuleContract, close

EVENTS = 6


class TargetAttentionContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``; each needs ``dim``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        dim = case.arguments["dim"]
        target = torch.randn(rows, dim, generator=generator)
        events = torch.randn(rows, EVENTS, dim, generator=generator)
        lengths = torch.tensor([EVENTS, 0, 1, EVENTS - 2, 2])[torch.arange(rows) % 5]
        return target, events, lengths

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
        noise = torch.randn(events.shape, generator=torch.Generator().manual_seed(5))
        padding = (torch.arange(EVENTS) >= lengths.unsqueeze(1)).unsqueeze(2)
        refilled = torch.where(padding, noise * 100, events)
        close(module(target, refilled, lengths), expected)
        close(module(target, torch.cat([refilled, noise[:, :3]], dim=1), lengths), expected)

    def test_lengths_of_either_width(self, case: Case) -> None:
        """TorchRec hands over int32 and int64 lengths alike."""
        module = case.build().eval()
        target, events, lengths = self.draw(case)
        assert torch.equal(module(target, events, lengths.int()), module(target, events, lengths))
