"""train_epochs(): the loop that fit and continue_training share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext import contracts
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.positive import Positive, recorded
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.distributed import join_group, quiet_libraries, shard
from torchrec_ext.distributed.whole_table import look_up_whole_table
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import task_for
from torchrec_ext.models.inference import inputs_of
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.training.checkpoint_manager import CheckpointManager
from torchrec_ext.training.data_record import data_record
from torchrec_ext.training.epoch import Epoch, train_epoch
from torchrec_ext.training.examples import (
    catalogue_on_every_rank,
    default_batch_size,
    training_examples,
)
from torchrec_ext.training.find_checkpoint import find_checkpoint
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.pipeline import make_pipeline
from torchrec_ext.training.progress import Progress
from torchrec_ext.training.resolve_loss import describe_loss
from torchrec_ext.training.run_state import RunState
from torchrec_ext.training.settings import Checkpoints, EarlyStopping, Optimization
from torchrec_ext.training.validation_monitor import ValidationMonitor
from torchrec_ext.training.warm_up import WarmUp

Model = TypeVar("Model", bound=nn.Module)


def train_epochs(
    model: Model,
    train: Dataset,
    valid: Dataset | None,
    start: Callable[[CombinedOptimizer, RunState], RunState],
    *,
    epochs: int,
    loss: contracts.RetrievalLoss | contracts.RankingLoss,
    positive: Positive,
    optimization: Optimization,
    early_stopping: EarlyStopping,
    exclude_seen: bool,
    checkpoints: Checkpoints,
    run: Path | None,
    sharding: Mapping[str, str] | None,
    prefetch: int,
    seed: int,
    device: str,
    progress: bool,
    on_step: Callable[[int, float], None] | None,
    learnt_before: TrainedIds | None = None,
    record: Mapping[str, Any] | None = None,
) -> TrainedModel[Model]:
    """Shards a model over the process group and trains it; every rank must call it.

    Most arguments are those of :func:`~torchrec_ext.training.fit`. ``start`` gets the optimizer and the state
    of a new run, loads weights and optimizer state if there are any, and returns the state to go on from;
    ``epochs`` counts those before it too. ``learnt_before`` is what a training that continues has learnt
    before: it is saved once, at its end, so that no checkpoint holds a part of the events. ``record`` is what
    the run records of its data, if not where those of ``train`` came from.
    """
    if prefetch > 1000:
        raise InputError(f"prefetch should be at most 1,000 batches, received {prefetch:,}")
    group = join_group(device)
    precision = torch.bfloat16 if optimization.precision == "bfloat16" else torch.float32
    task = task_for(model, loss, group.world_size, precision, group.device.type)
    continues = learnt_before is not None
    examples = training_examples(
        model, train, loss, positive, one_class=continues, rank=group.rank, ranks=group.world_size
    )
    preparation = examples.learnt_preparation()
    if learnt_before is not None:
        preparation = replace(preparation, trained=preparation.trained.or_in(learnt_before))
    size = optimization.global_batch_size or default_batch_size(inputs_of(model), len(examples.sizes()))
    loader = Loader(examples, size, rank=group.rank, world_size=group.world_size, seed=seed)
    settings = {
        "epochs": epochs, "loss": describe_loss(loss), "exclude_seen": exclude_seen,
        "positive": recorded(positive),
        "optimization": asdict(optimization), "early_stopping": asdict(early_stopping),
        "checkpoints": asdict(checkpoints), "sharding": dict(sharding or {}), "seed": seed,
        "data": data_record(train.table, train.report) if record is None else dict(record),
    }  # fmt: skip
    monitor = ValidationMonitor(
        TrainedModel(model, preparation, settings=settings), train, valid, early_stopping.monitor,
        exclude_seen=exclude_seen, group=getattr(loss, "within", None),
    )  # fmt: skip
    log = print if progress and group.first else None
    if log:
        up_to = "up to " if size % group.world_size else ""
        share = f"{up_to}{-(-size // group.world_size):,} per rank; {len(loader):,} steps per epoch"
        log(f"global batch of {size:,} over {group.world_size} rank(s): {share}")
    dmp = shard(
        task, sharding=sharding, learning_rate=optimization.table_learning_rate, device=device,
        batch_size=size // group.world_size, log=log,
    )  # fmt: skip
    initialise_tables(model, seed)
    if catalogue_on_every_rank(examples):
        look_up_whole_table(model, train.schema.feature("item").table)
    optimizer = make_optimizer(dmp, optimization.learning_rate, optimization.weight_decay)
    warmup_steps = optimization.warmup_steps
    if warmup_steps is None:
        # independent of epochs, so that a run resumed with more epochs equals one that started with them
        warmup_steps = min(100, len(loader) // 2) if inputs_of(model).per_event_labels else 0
    state = start(optimizer, RunState(seed, size, len(loader)))
    manager = CheckpointManager(run, model, optimizer, preparation, settings, checkpoints.keep)
    started = time.perf_counter() - state.seconds

    def save(best: bool = False) -> None:
        state.seconds = time.perf_counter() - started
        manager.save(state, best=best)

    dmp.train()
    with Progress(run, group.first, progress, _name(model), state.history) as run_progress:
        epoch = Epoch(
            make_pipeline(dmp, optimizer, group), loader, inputs_of(model), group, run_progress,
            isinstance(model, contracts.Ranker), on_step, None if continues else checkpoints.every, save,
            WarmUp(optimizer, warmup_steps), prefetch,
        )  # fmt: skip
        while state.epoch < epochs and state.epochs_without_improvement < early_stopping.patience:
            run_progress.start_epoch(state.epoch, epochs, state.steps, state.step)
            with quiet_libraries():
                row = train_epoch(epoch, state)
            row |= monitor.validate()
            better = monitor.is_better(row, state.best)
            state.best = row.get(monitor.column) if better else state.best
            state.epochs_without_improvement = 0 if better else state.epochs_without_improvement + 1
            state.epoch, state.step, state.loss_sum = state.epoch + 1, 0, 0.0
            run_progress.end_epoch(state.total_steps, row)
            if not continues or state.epoch == epochs:
                save(best=better)
    manager.restore_best()
    return TrainedModel(
        model.eval(),
        preparation,
        state.history_frame(),
        settings,
        run,
        None if run is None else find_checkpoint(run),
        time.perf_counter() - started,
    )


def _name(model: nn.Module) -> str:
    part = getattr(model, "encoder", None) or getattr(model, "interaction", None) or model
    return type(part).__name__
