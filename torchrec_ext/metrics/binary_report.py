"""The metrics of a binary ranking task, in one pass over the data."""

import math
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from torchrec_ext.checks import expect_shape
from torchrec_ext.errors import InputError


class BinaryReport(Metric):
    """Log-loss, AUC, accuracy and root mean squared error of probabilities.

    The AUC is exact, and ties count half. It needs all probabilities, 4 bytes each, on every rank, which is
    practical up to about 10 million examples.

    Args:
        settings: arguments of ``torchmetrics.Metric``, such as ``sync_on_compute``.

    Example:
        >>> report = BinaryReport()
        >>> report.update(torch.tensor([0.9, 0.4, 0.6, 0.1]), torch.tensor([1, 1, 0, 0]))
        >>> {name: round(value, 3) for name, value in report.compute().items()}
        {'log_loss': 0.511, 'auc': 0.75, 'accuracy': 0.5, 'rmse': 0.43}
    """

    full_state_update = False

    # The states that add_state creates.
    of_ones: list[Tensor]
    of_zeros: list[Tensor]
    sums: Tensor

    def __init__(self, **settings: Any) -> None:
        # A rank without a new example would answer from its cache, and the other ranks would wait for it.
        super().__init__(**{"compute_with_cache": False, **settings})
        self.add_state("of_ones", [], dist_reduce_fx="cat")
        self.add_state("of_zeros", [], dist_reduce_fx="cat")
        # Number of examples, log-losses, correct predictions and squared errors.
        self.add_state("sums", torch.zeros(4, dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Adds examples.

        Args:
            probabilities: float probabilities of any shape, not logits.
            labels: labels 0 and 1 of the same shape and any dtype.

        Raises:
            InputError: for a probability outside 0 to 1, a label other than 0 and 1, or different shapes.
        """
        expect_shape("labels", labels, tuple(probabilities.shape))
        chances = probabilities.detach().float().flatten()
        answers = labels.detach().float().flatten()
        if not ((chances >= 0) & (chances <= 1)).all():
            raise InputError(
                f"probabilities should be from 0 to 1, received {_first_outside(chances)}; "
                "apply the sigmoid to logits"
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
            # float32 rounds a probability within 6e-8 of 1 to 1, whose log-loss must not be infinite.
            -of_label.clamp(min=1e-7).log().sum(),
            ((chances > 0.5) == ones).double().sum(),
            (chances - answers).square().sum(),
        ])  # fmt: skip

    def compute(self) -> dict[str, float]:
        """The metrics over all ranks, by name; NaN without an example, or as AUC of one class."""
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
        # A rank without an example takes part too, or the other ranks would wait for it.
        for kept in (self.of_ones, self.of_zeros):
            if isinstance(kept, list) and not kept:
                kept.append(torch.zeros(0, device=self.sums.device))
        super().sync(*arguments, **settings)


def _auc(of_ones: Tensor, of_zeros: Tensor) -> float:
    pairs = of_ones.numel() * of_zeros.numel()
    if not pairs:
        return math.nan
    # With both sorted, the search reads memory in order.
    of_ones, of_zeros = of_ones.sort().values, of_zeros.sort().values
    below = torch.searchsorted(of_zeros, of_ones).sum().item()
    below_or_equal = torch.searchsorted(of_zeros, of_ones, right=True).sum().item()
    return (below + below_or_equal) / (2 * pairs)


def _joined(kept: list[Tensor] | Tensor) -> Tensor:
    return kept if isinstance(kept, Tensor) else torch.cat(kept)


def _first_outside(chances: Tensor) -> float:
    return chances[~((chances >= 0) & (chances <= 1))][0].item()
