"""The promises of a RetrievalLoss and of a RankingLoss."""

from typing import Any

import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.module import ModuleContract

CANDIDATES = 7
TASKS = 2


class RetrievalLossContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        logits_NC = torch.randn(rows, CANDIDATES, generator=generator)
        return logits_NC, torch.randint(CANDIDATES, (rows,), generator=generator)

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]),)

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        logits_NC, labels_N = self.draw(case)
        return [
            ("logits_NC", (logits_NC[0], labels_N)),
            ("labels_N", (logits_NC, labels_N[:-1])),
            ("log_q_C", (logits_NC, labels_N, torch.zeros(CANDIDATES - 1))),
        ]

    def test_a_row_without_a_target_costs_nothing(self, case: Case) -> None:
        """A label of -1 gives a loss of 0 and a gradient of 0."""
        logits_NC, labels_N = self.draw(case)
        logits_NC.requires_grad_()
        labels_N[0] = -1
        losses_N = case.build()(logits_NC, labels_N)
        assert losses_N[0] == 0, f"the loss of a row without a target should be 0, received {losses_N[0]}"
        losses_N.sum().backward()
        assert logits_NC.grad is not None and not logits_NC.grad[0].any(), "its gradient should be 0"

    def test_a_higher_score_of_the_target_costs_no_more(self, case: Case) -> None:
        """Nor does a lower score of the other candidates."""
        logits_NC, labels_N = self.draw(case)
        better_NC = logits_NC.scatter_add(1, labels_N[:, None], torch.ones(len(labels_N), 1))
        loss = case.build()
        before, after = loss(logits_NC, labels_N), loss(better_NC, labels_N)
        assert (after <= before).all(), f"expected at most {before.tolist()}, received {after.tolist()}"

    def test_losses_are_float32(self, case: Case) -> None:
        """For logits of bfloat16 too."""
        logits_NC, labels_N = self.draw(case)
        losses_N = case.build()(logits_NC.bfloat16(), labels_N)
        assert losses_N.dtype == torch.float32, f"expected float32, received {losses_N.dtype}"


class RankingLossContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``."""

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(rows, TASKS, generator=generator)
        return logits, torch.randint(2, (rows, TASKS), generator=generator)

    def size(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return tuple(inputs[0].shape)

    def wrong(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        logits, labels = self.draw(case)
        return [("labels", (logits, labels[:-1])), ("labels", (logits, labels[:, :1]))]

    def test_a_logit_nearer_to_its_label_costs_no_more(self, case: Case) -> None:
        """A higher one of a label of 1, a lower one of a label of 0."""
        logits, labels = self.draw(case)
        loss = case.build()
        before, after = loss(logits, labels), loss(logits + (2 * labels - 1), labels)
        assert (after <= before).all(), f"expected at most {before.tolist()}, received {after.tolist()}"

    def test_losses_are_float32(self, case: Case) -> None:
        """For logits of bfloat16 too."""
        logits, labels = self.draw(case)
        losses = case.build()(logits.bfloat16(), labels)
        assert losses.dtype == torch.float32, f"expected float32, received {losses.dtype}"
