"""One epoch of training through TorchRec's pipeline."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.batching.prefetch import prefetched
from torchrec_ext.distributed import Group
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.training.even_batch import even_batch
from torchrec_ext.training.progress import Progress
from torchrec_ext.training.recent_steps import RecentSteps
from torchrec_ext.training.run_state import RunState
from torchrec_ext.training.warm_up import WarmUp


@dataclass
class Epoch:
    """The parts that all epochs of a run share.

    Args:
        pipeline: TorchRec's pipeline around the task.
        loader: of the training examples.
        inputs: what the model reads.
        group: this process.
        progress: bar, TensorBoard and history of the run.
        labelled: whether predictions have labels; the metrics of both are then computed.
        on_step: called with each step's number and loss, a few steps late.
        checkpoint_every: steps between calls of ``save``, or None.
        save: saves the position of the run.
        warm_up: sets the learning rate of each step.
        prefetch: number of batches that a background thread prepares.
    """

    pipeline: TrainPipelineSparseDist | TrainPipelineBase
    loader: Loader
    inputs: Inputs
    group: Group
    progress: Progress
    labelled: bool
    on_step: Callable[[int, float], None] | None
    checkpoint_every: int | None
    save: Callable[[], None]
    warm_up: WarmUp
    prefetch: int = 0


def train_epoch(epoch: Epoch, state: RunState) -> dict[str, Any]:
    """Trains the next epoch from its next step; every rank must call it.

    Args:
        epoch: see :class:`Epoch`.
        state: position of the run; its ``step`` and ``loss_sum`` are advanced.

    Returns:
        The epoch's row of the history: ``epoch`` from 1, ``train_loss``, metrics, speed, seconds and
        ``data_share``, the share of the seconds that training waited for its next batch. All but the loss
        are those of the steps of this call: of the rest of the epoch if the run was resumed within it.

    Raises:
        InputError: if the loss is not a finite number, at most a few steps later.
    """
    with prefetched(epoch.loader.epoch(state.epoch, state.step), epoch.prefetch) as batches:
        return _train(epoch, state, _Feed(batches, epoch, state))


def _train(epoch: Epoch, state: RunState, feed: "_Feed") -> dict[str, Any]:
    report = BinaryReport() if epoch.labelled else None
    began, seen = time.perf_counter(), 0

    def on_step(step: int, loss: float) -> None:
        state.loss_sum += loss
        epoch.progress.step(step, loss, seen / (time.perf_counter() - began))
        if epoch.on_step is not None:
            epoch.on_step(step, loss)

    recent = RecentSteps(epoch.group.world_size, report, on_step)
    if isinstance(epoch.pipeline, TrainPipelineSparseDist):
        epoch.pipeline.attach()
    else:
        epoch.pipeline.reset()  # otherwise it stays at the end of its last batches
    while state.step < state.steps:
        step = state.total_steps
        _seed_dropout(state.seed, step, epoch.group)
        epoch.warm_up.at(step)
        loss, predictions = epoch.pipeline.progress(feed)
        labels, count = feed.finish()
        seen += count
        recent.add(step, loss, predictions, labels)
        state.step += 1
        if epoch.checkpoint_every and state.step % epoch.checkpoint_every == 0 and state.step < state.steps:
            recent.read()  # so that no checkpoint has weights from after a loss that is not finite
            epoch.save()
    recent.read()
    if isinstance(epoch.pipeline, TrainPipelineSparseDist):
        epoch.pipeline.detach()
    seconds = time.perf_counter() - began
    row: dict[str, Any] = {"epoch": state.epoch + 1, "train_loss": state.loss_sum / state.steps}
    if report is not None:
        figures = report.compute()
        row |= {"train_accuracy": figures["accuracy"], "train_auc": figures["auc"]}
    return row | {
        "samples_per_second": seen / seconds,
        "seconds": seconds,
        "data_share": feed.waited / seconds,
    }


class _Feed(Iterator[Batch]):
    """Passes batches to the pipeline, which reads ahead, and keeps the labels of each until it is done.

    ``waited`` is the number of seconds spent waiting for a batch.
    """

    def __init__(self, batches: Iterator[Batch], epoch: Epoch, state: RunState) -> None:
        self.batches, self.waited = batches, 0.0
        self.inputs, self.world_size = epoch.inputs, epoch.group.world_size
        size = epoch.loader.global_batch_size
        # examples from this step on; the smaller batch comes last
        self.left = epoch.loader.count - state.step * size
        self.size, self.rows = size, epoch.loader.examples.rows
        self.ahead: deque[tuple[Any, int]] = deque()

    def __next__(self) -> Batch:
        started = time.perf_counter()
        batch = next(self.batches)
        self.waited += time.perf_counter() - started
        assert batch.total is not None
        examples = min(self.size, self.left)
        labels: Any = batch.labels
        self.ahead.append((labels, examples if labels.dim() == 2 else int(batch.total)))
        slots = -(-examples // self.world_size) * self.rows
        self.left -= self.size
        return even_batch(batch, slots, self.inputs)

    def finish(self) -> tuple[Any, int]:
        """Labels and global number of targets of the batch the pipeline has just finished."""
        return self.ahead.popleft()


def _seed_dropout(seed: int, step: int, group: Group) -> None:
    """Seeds dropout with these, so that a resumed run has the same dropout as an uninterrupted one."""
    state = np.random.SeedSequence((seed, step, group.rank)).generate_state(1, np.uint64)[0]
    drawn = int(state >> np.uint64(1))
    # not torch.manual_seed, which formats a stack trace for every kind of device that is not there
    torch.default_generator.manual_seed(drawn)
    if group.device.type == "cuda":
        torch.cuda.manual_seed(drawn)
