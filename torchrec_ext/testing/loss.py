"""The promises of a RetrievalLoss and of a RankingLoss."""

from typing import Any

import torch
from torch import Tensor

from torchrec_ext.testing.case import Case
from torchrec_ext.testing.contract import ROWS
from torchrec_ext.testing.expect import expect_zero
from torchrec_ext.testing.module import ModuleContract
from torchrec_ext.testing.promise import promise

CANDIDATES = 7
TASKS = 2


class RetrievalLossContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``."""

    axes = ({0: "batch"}, {0: "batch"})

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        logits_NC = torch.randn(rows, CANDIDATES, generator=generator)
        return logits_NC, torch.randint(CANDIDATES, (rows,), generator=generator)

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return (len(inputs[0]),)

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        logits_NC, labels_N = self.draw(case)
        return [
            ("logits_NC", (logits_NC[0], labels_N)),
            ("labels_N", (logits_NC, labels_N[:-1])),
            ("log_q_C", (logits_NC, labels_N, torch.zeros(CANDIDATES - 1))),
        ]

    @promise
    def test_a_row_without_a_target_has_no_loss(self, case: Case) -> None:
        """A label of -1 gives a loss of 0 and a gradient of 0."""
        logits_NC, labels_N = self.draw(case)
        logits_NC.requires_grad_()
        labels_N[0] = -1
        losses_N = case.build()(logits_NC, labels_N)
        expect_zero(losses_N[:1].detach(), "the loss of a row with the label -1")
        losses_N.sum().backward()
        assert logits_NC.grad is not None, "the logits should have a gradient, received None"
        expect_zero(logits_NC.grad[0], "the gradient of a row with the label -1")

    @promise
    def test_a_higher_score_of_the_target_costs_no_more(self, case: Case) -> None:
        """The loss of a row does not rise when the score of its target rises."""
        logits_NC, labels_N = self.draw(case)
        better_NC = logits_NC.scatter_add(1, labels_N[:, None], torch.ones(len(labels_N), 1))
        _expect_no_more(case, (logits_NC, labels_N), (better_NC, labels_N))

    @promise
    def test_losses_are_float32(self, case: Case) -> None:
        """The losses are float32, for logits in bfloat16 too."""
        _expect_float32(case, *self.draw(case))


class RankingLossContract(ModuleContract):
    """Subclass it as ``Test...`` and set ``cases``."""

    axes = ({0: "batch"}, {0: "batch"})

    def draw(self, case: Case, rows: int = ROWS, seed: int = 1) -> tuple[Tensor, ...]:
        generator = torch.Generator().manual_seed(seed)
        logits = torch.randn(rows, TASKS, generator=generator)
        return logits, torch.randint(2, (rows, TASKS), generator=generator)

    def output_shape(self, module: Any, inputs: tuple[Tensor, ...]) -> tuple[int, ...]:
        return tuple(inputs[0].shape)

    def wrong_shapes(self, case: Case) -> list[tuple[str, tuple[Tensor, ...]]]:
        logits, labels = self.draw(case)
        return [("labels", (logits, labels[:-1])), ("labels", (logits, labels[:, :1]))]

    @promise
    def test_a_logit_nearer_to_its_label_costs_no_more(self, case: Case) -> None:
        """The loss does not rise when the logit of a label of 1 rises, or that of a label of 0 falls."""
        logits, labels = self.draw(case)
        _expect_no_more(case, (logits, labels), (logits + (2 * labels - 1), labels))

    @promise
    def test_losses_are_float32(self, case: Case) -> None:
        """The losses are float32, for logits in bfloat16 too."""
        _expect_float32(case, *self.draw(case))


def _expect_no_more(case: Case, inputs: tuple[Tensor, ...], better: tuple[Tensor, ...]) -> None:
    loss = case.build().eval()
    before, after = loss(*inputs), loss(*better)
    assert (after <= before).all(), (
        f"the losses should be at most {before.tolist()}, received {after.tolist()}"
    )


def _expect_float32(case: Case, logits: Tensor, labels: Tensor) -> None:
    losses = case.build()(logits.bfloat16(), labels)
    assert losses.dtype == torch.float32, f"the losses should be float32, received {losses.dtype}"
