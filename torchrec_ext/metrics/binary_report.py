"""The figures of a binary ranking task, in one pass over the data."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from torchrec_ext.checks import expect_shape
from torchrec_ext.errors import InputError


class BinaryReport(Metric):
    """Log-loss, AUC, accuracy and root mean squared error of probabilities.

    The AUC is exact, ties counting half: the probabilities are kept, 4 bytes each, and every rank
    gathers those of all ranks, which serves up to some 10 million examples.

    Args:
        settings: those of ``torchmetrics.Metric``, such as ``sync_on_compute``.

    Example:
        >>> report = BinaryReport()
        >>> report.update(torch.tensor([0.9, 0.4, 0.6, 0.1]), torch.tensor([1, 1, 0, 0]))
        >>> {name: round(value, 3) for name, value in report.compute().items()}
        {'log_loss': 0.511, 'auc': 0.75, 'accuracy': 0.5, 'rmse': 0.43}
    """

    full_state_update = False

    # The states, which add_state makes.
    of_ones: list[Tensor]
    of_zeros: list[Tensor]
    sums: Tensor

    def __init__(self, **settings: Any) -> None:
        # A rank that has no new example would answer from its cache and leave the others waiting.
        super().__init__(**{"compute_with_cache": False, **settings})
        self.add_state("of_ones", [], dist_reduce_fx="cat")
        self.add_state("of_zeros", [], dist_reduce_fx="cat")
        # Examples, log-losses, right guesses and squared errors.
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Takes the next examples.

        Args:
            probabilities: float probabilities of any shape, not logits.
            labels: as many labels of 0 and 1, of any type.

        Raises:
            InputError: for a value that is no probability, a label other than 0 and 1, or shapes that differ.
        """
        expect_shape("labels", labels, tuple(probabilities.shape))
        chances = probabilities.detach().float().flatten()
        answers = labels.detach().float().flatten()
        if not ((chances >= 0) & (chances <= 1)).all():
            raise InputError(
                f"probabilities should be from 0 to 1, received {_first_outside(chances)}; "
                "take the sigmoid of logits"
            )
        ones = answers == 1
        if not (ones | (answers == 0)).all():
            raise InputError(f"labels should be 0 or 1, received {answers[~ones & (answers != 0)][0].item()}")
        self.of_ones.append(chances[ones])
        self.of_zeros.append(chances[~ones])
        chances, answers = chances.double(), answers.double()
        of_label = torch.where(ones, chances, 1 - chances)
        self.sums += torch.stack([
            torch.ones_like(chances).sum(),
            # float32 rounds a probability within 6e-8 of 1 to 1, which must not cost infinity.
            -of_label.clamp(min=1e-7).log().sum(),
            ((chances > 0.5) == ones).double().sum(),
            (chances - answers).square().sum(),
        ])  # fmt: skip

    def compute(self) -> dict[str, float]:
        """The figures over all ranks, by name; NaN without an example, or for the AUC of one class alone."""
        count, log_losses, right, squares = self.sums.tolist()
        if not count:
            return dict.fromkeys(("log_loss", "auc", "accuracy", "rmse"), math.nan)
        return {
            "log_loss": log_losses / count,
            "auc": _auc(_joined(self.of_ones), _joined(self.of_zeros)),
            "accuracy": right / count,
            "rmse": math.sqrt(squares / count),
        }

    def sync(self, *arguments: Any, **settings: Any) -> None:
        """Gathers the states of all ranks."""
        # A rank without an example gathers too: skipping an empty list would leave the others waiting.
        for kept in (self.of_ones, self.of_zeros):
            if isinstance(kept, list) and not kept:
                kept.append(torch.zeros(0, device=self.sums.device))
        super().sync(*arguments, **settings)


def _auc(of_ones: Tensor, of_zeros: Tensor) -> float:
    pairs = of_ones.numel() * of_zeros.numel()
    if not pairs:
        return math.nan
    # Sorting both makes the search go through memory in order.
    of_ones, of_zeros = of_ones.sort().values, of_zeros.sort().values
    below = torch.searchsorted(of_zeros, of_ones).sum().item()
    below_or_equal = torch.searchsorted(of_zeros, of_ones, right=True).sum().item()
    return (below + below_or_equal) / (2 * pairs)


def _joined(kept: list[Tensor] | Tensor) -> Tensor:
    return kept if isinstance(kept, Tensor) else torch.cat(kept)


def _first_outside(chances: Tensor) -> float:
    return chances[~((chances >= 0) & (chances <= 1))][0].item()
