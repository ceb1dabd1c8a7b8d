"""RecentSteps: reads losses a few steps late, so that no step waits for its loss."""

import math
from collections.abc import Callable

import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext.errors import InputError
from torchrec_ext.metrics import BinaryReport

READ_EVERY = 8
"""Steps whose losses are read together: one exchange between ranks, and one wait for the device."""


class RecentSteps:
    """Collects the results of each step and reads those of several steps at a time.

    Reading a loss makes a GPU finish all its work, so reading the loss of every step would undo the overlap
    of TorchRec's pipeline.

    Args:
        world_size: number of ranks.
        report: collects the predictions of the first task and their labels, or None.
        on_step: called with each step's number and its loss over the global batch, in order.
    """

    def __init__(
        self, world_size: int, report: BinaryReport | None, on_step: Callable[[int, float], None]
    ) -> None:
        self.world_size, self.report, self.on_step = world_size, report, on_step
        self._pending: list[tuple[int, Tensor, Tensor, Tensor]] = []

    def add(self, step: int, loss: Tensor, predictions: Tensor, labels: Tensor) -> None:
        """Adds a step, and reads all pending ones every ``READ_EVERY`` steps; every rank must call it.

        Args:
            step: its number.
            loss: scalar, this rank's share of the loss.
            predictions: logits of the batch, those of padding examples last.
            labels: of the batch.

        Raises:
            InputError: see :meth:`read`.
        """
        self._pending.append((step, loss, predictions, labels))
        if len(self._pending) == READ_EVERY:
            self.read()

    def read(self) -> None:
        """Reads the steps that have not been read; every rank must call it.

        Raises:
            InputError: for the first loss that is not a finite number, with its step.
        """
        pending, self._pending = self._pending, []
        if not pending:
            return
        losses = torch.stack([loss for _, loss, _, _ in pending])
        if self.world_size > 1:  # the mean over ranks is the loss of the global batch
            dist.all_reduce(losses)
            losses /= self.world_size
        for (step, _, predictions, labels), loss in zip(pending, losses.tolist(), strict=True):
            if not math.isfinite(loss):
                raise InputError(
                    f"the loss is {loss} at step {step}; lower learning_rate or table_learning_rate"
                )
            if self.report is not None:
                self.report.update(predictions[: len(labels), 0].sigmoid().cpu(), labels[:, 0])
            self.on_step(step, loss)
