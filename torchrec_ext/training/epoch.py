"""One epoch of training through TorchRec's pipeline."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist

from torchrec_ext.batch import Batch
from torchrec_ext.data.loader import Loader
from torchrec_ext.distributed import Group
from torchrec_ext.errors import InputError
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.training.progress import Progress


@dataclass
class Epoch:
    """What an epoch needs.

    Args:
        pipeline: TorchRec's pipeline around the task.
        loader: of the training examples.
        group: this process.
        seed: of dropout.
        told: what the run tells.
        on_step: is told each step's number and loss.
    """

    pipeline: "TrainPipelineBase | TrainPipelineSparseDist"
    loader: Loader
    group: Group
    seed: int
    told: Progress
    on_step: Callable[[int, float], None] | None


def train_epoch(
    epoch: Epoch,
    number: int,
    start: int,
    labelled: bool,
    checkpoint_every: int | None,
    save: Callable[[int, int], Any],
) -> dict[str, Any]:
    """Trains one epoch from step ``start`` on; every rank must call it.

    Args:
        epoch: see :class:`Epoch`.
        number: of the epoch, from 0.
        start: step to begin at.
        labelled: whether predictions come with labels, whose figures are then kept.
        checkpoint_every: steps between calls of ``save``, or None.
        save: saves at (epoch, step).

    Returns:
        The epoch's row of the history: ``epoch`` from 1, ``train_loss``, figures, speed and seconds.

    Raises:
        InputError: if the loss is no number.
    """
    feed = _Feed(epoch.loader.epoch(number, start))
    report = BinaryReport()
    losses: list[float] = []
    began, seen = time.perf_counter(), 0
    if isinstance(epoch.pipeline, TrainPipelineSparseDist):
        epoch.pipeline.attach()
    for step in range(start, len(epoch.loader)):
        total_step = number * len(epoch.loader) + step
        # dropout is a function of seed, step and rank, so that a resumed run draws what an unbroken one does
        state = np.random.SeedSequence((epoch.seed, total_step, epoch.group.rank)).generate_state(
            1, np.uint64
        )[0]
        torch.manual_seed(int(state >> np.uint64(1)))
        loss, predictions = epoch.pipeline.progress(feed)
        labels, count = feed.finish()
        value = _global(loss, epoch.group.world_size)
        if not np.isfinite(value):
            raise InputError(
                f"the loss is {value} at step {total_step}; lower learning_rate or table_learning_rate"
            )
        if labelled:
            report.update(predictions[:, 0].sigmoid().cpu(), labels[:, 0])
        losses.append(value)
        seen += count
        epoch.told.step(total_step, value, seen / (time.perf_counter() - began))
        if epoch.on_step is not None:
            epoch.on_step(total_step, value)
        if checkpoint_every and (step + 1) % checkpoint_every == 0 and step + 1 < len(epoch.loader):
            save(number, step + 1)
    if isinstance(epoch.pipeline, TrainPipelineSparseDist):
        epoch.pipeline.detach()
    seconds = time.perf_counter() - began
    row: dict[str, Any] = {
        "epoch": number + 1,
        "train_loss": float(np.mean(losses)) if losses else float("nan"),
    }
    if labelled and losses:
        figures = report.compute()
        row |= {"train_accuracy": figures["accuracy"], "train_auc": figures["auc"]}
    return row | {"samples_per_second": seen / seconds, "seconds": seconds}


class _Feed(Iterator[Batch]):
    """Hands batches to the pipeline, which reads ahead, and remembers what each was until it is done."""

    def __init__(self, batches: Iterator[Batch]) -> None:
        self.batches = batches
        self.ahead: list[tuple[Any, int]] = []

    def __next__(self) -> Batch:
        batch = next(self.batches)
        assert batch.total is not None
        self.ahead.append((batch.labels, int(batch.total)))
        return batch

    def finish(self) -> tuple[Any, int]:
        """Labels and global number of targets of the batch the pipeline has just finished."""
        return self.ahead.pop(0)


def _global(loss: torch.Tensor, world_size: int) -> float:
    """Mean over ranks, which is the loss of the global batch."""
    if world_size > 1:
        loss = loss.clone()
        dist.all_reduce(loss)
        loss = loss / world_size
    return loss.item()
