"""fit(): trains a model on every rank of the process group."""

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist
from torchrec.distributed.types import ShardedModule
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext import contracts
from torchrec_ext.checks import expect_whole
from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.dataset import Dataset, expect_part
from torchrec_ext.distributed import Group, doctor, join_group, quiet_libraries, shard
from torchrec_ext.embeddings import Embeddings, initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import task_for
from torchrec_ext.models.inference import inputs_of
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.training.checkpoint import find_checkpoint
from torchrec_ext.training.checkpoint_manager import CheckpointManager
from torchrec_ext.training.data_record import data_record
from torchrec_ext.training.epoch import Epoch, train_epoch
from torchrec_ext.training.examples import default_batch_size, training_examples
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.progress import Progress
from torchrec_ext.training.resolve_loss import describe_loss, resolve_loss
from torchrec_ext.training.run_state import RunState, resume_run
from torchrec_ext.training.settings import Checkpoints, EarlyStopping, Optimization
from torchrec_ext.training.validation_monitor import ValidationMonitor
from torchrec_ext.training.warm_up import WarmUp

Model = TypeVar("Model", bound=nn.Module)


def fit(
    model: Model,
    train: Dataset,
    valid: Dataset | None = None,
    *,
    epochs: int = 5,
    loss: str | type[nn.Module] | nn.Module | Callable[..., Any] | None = None,
    positive: float | Sequence[float] = 4.0,
    optimization: Optimization | None = None,
    early_stopping: EarlyStopping | None = None,
    exclude_seen: bool = True,
    checkpoints: Checkpoints | None = None,
    output: Path | str | None = None,
    resume: bool = False,
    sharding: Mapping[str, str] | None = None,
    prefetch: int = 2,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
    on_step: Callable[[int, float], None] | None = None,
) -> TrainedModel[Model]:
    """Shards a model over the process group and trains it; every rank must call it.

    After each epoch the model is validated; at the end it has the weights of the best epoch.

    Args:
        model: a retriever or a ranker, not sharded yet: one of this package or any
            :class:`~torchrec_ext.contracts.Retriever` or :class:`~torchrec_ext.contracts.Ranker`.
        train: the events to learn from.
        valid: the events to validate on; None trains all epochs and keeps the last.
        epochs: the largest number of epochs.
        loss: a :class:`~torchrec_ext.contracts.RetrievalLoss` or
            :class:`~torchrec_ext.contracts.RankingLoss`: an instance, a class, a name of the group
            ``losses``, or a plain function with the arguments of its ``forward``. None takes softmax
            cross-entropy for a retriever, binary cross-entropy for a ranker.
        positive: smallest rating of a positive example, for a ranker; one for each task, of which the first
            is validated.
        optimization: batch size, learning rates and precision.
        early_stopping: patience, and the validation metric that decides.
        exclude_seen: whether validation leaves out the items that a user has an event with, for a
            retriever; False where items are taken again and again.
        checkpoints: how often to save, and how many checkpoints are kept; needs ``output``.
        output: folder of the run: checkpoints, ``history.csv``, ``curves.png``, TensorBoard; on a file
            system that all ranks share. None writes nothing.
        resume: continues from the newest checkpoint in ``output`` at the exact next batch; without a
            checkpoint the run starts from the beginning.
        sharding: table -> sharding type; the planner chooses for the others.
        prefetch: number of batches that a thread prepares while the model computes; with 0 each is built
            when it is needed. It does not change the results.
        seed: of the tables' initial weights, the order of batches, dropout and samples. Other layers draw
            their weights when the model is built: call ``torch.manual_seed`` before.
        device: ``cpu`` or ``cuda``.
        progress: shows a progress bar and one line per epoch on rank 0.
        on_step: called with each step's number and its loss over the global batch, on every rank, at
            most a few steps late.

    Returns:
        The trained model, which ``evaluate``, ``recommend`` and ``predict`` take.

    Raises:
        InputError: for settings or data that cannot be used, or a loss that is not a finite number.
    """
    expect_part("train", train)
    if valid is not None:
        expect_part("valid", valid)
    if output is None and (resume or checkpoints is not None):
        raise InputError("resume and checkpoints need output, the folder of the run")
    optimization = optimization or Optimization()
    early_stopping = early_stopping or EarlyStopping()
    checkpoints = checkpoints or Checkpoints()
    for name, group_of_settings, kind in (
        ("optimization", optimization, Optimization),
        ("early_stopping", early_stopping, EarlyStopping),
        ("checkpoints", checkpoints, Checkpoints),
    ):
        if not isinstance(group_of_settings, kind):
            raise InputError(
                f"{name} should be training.{kind.__name__}(...), received {group_of_settings!r}"
            )
    expect_whole(1, epochs=epochs)
    expect_whole(0, prefetch=prefetch, seed=seed)
    run = None if output is None else Path(output)
    resuming = run is not None and (run / "checkpoints" / "latest").is_file()
    if resuming and not resume:
        raise InputError(f"output {run} contains a run; pass resume=True, or choose another folder")

    inputs_of(model)  # a retriever or a ranker
    _expect_untrained(model)
    if getattr(model, "schema", train.schema) != train.schema:
        raise InputError(
            f"the model was built for the schema of other data than {train.name}; build it with train.schema"
        )
    group = join_group(device)
    loss = resolve_loss(loss, model)
    precision = torch.bfloat16 if optimization.precision == "bfloat16" else torch.float32
    task = task_for(model, loss, group.world_size, precision, group.device.type)
    examples = training_examples(model, train, loss, positive)
    preparation = examples.learnt_preparation()
    size = optimization.global_batch_size or default_batch_size(inputs_of(model), len(examples.sizes()))
    loader = Loader(examples, size, rank=group.rank, world_size=group.world_size, seed=seed)
    settings = {
        "epochs": epochs, "loss": describe_loss(loss), "exclude_seen": exclude_seen,
        "positive": np.atleast_1d(as_written(positive)).tolist(),
        "optimization": asdict(optimization), "early_stopping": asdict(early_stopping),
        "checkpoints": asdict(checkpoints), "sharding": dict(sharding or {}), "seed": seed,
        "data": data_record(train.table, train.report),
    }  # fmt: skip
    monitor = ValidationMonitor(
        TrainedModel(model, preparation, settings=settings), train, valid, early_stopping.monitor,
        exclude_seen=exclude_seen,
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
    optimizer = make_optimizer(dmp, optimization.learning_rate, optimization.weight_decay)
    warmup_steps = optimization.warmup_steps
    if warmup_steps is None:
        # independent of epochs, so that a run resumed with more epochs equals one that started with them
        warmup_steps = min(100, len(loader) // 2) if inputs_of(model).per_event_labels else 0
    state = RunState(seed, size, len(loader))
    if run is not None and resuming:
        state = resume_run(run, model, optimizer, train.preparation, state)
    manager = CheckpointManager(run, model, optimizer, preparation, settings, checkpoints.keep)
    started = time.perf_counter() - state.seconds

    def save(best: bool = False) -> None:
        state.seconds = time.perf_counter() - started
        manager.save(state, best=best)

    dmp.train()
    with Progress(run, group.first, progress, _name(model), state.history) as run_progress:
        epoch = Epoch(
            _pipeline(dmp, optimizer, group), loader, inputs_of(model), group, run_progress,
            isinstance(model, contracts.Ranker), on_step, checkpoints.every, save,
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
            state.epoch, state.step = state.epoch + 1, 0
            run_progress.end_epoch(state.epoch * state.steps, row)
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


def _expect_untrained(model: nn.Module) -> None:
    """Refuses a model whose tables have weights: it was trained or sharded before."""
    sharded = any(isinstance(module, ShardedModule) for module in model.modules())
    ours = [module for module in model.modules() if isinstance(module, Embeddings)]
    if sharded or any(not table.is_meta for tables in ours for table in tables.parameters()):
        raise InputError(
            "the model was trained or sharded already; build a new one, or resume its run with resume=True"
        )


def _pipeline(
    dmp: DistributedModelParallel, optimizer: CombinedOptimizer, group: Group
) -> TrainPipelineBase | TrainPipelineSparseDist:
    """TorchRec's pipeline, without overlap if the ids of a lookup do not come straight from the batch."""
    findings = doctor(dmp)
    slow = [finding for finding in findings if not finding.overlapped]
    if slow and group.first:
        warnings.warn(
            f"lookups do not overlap with computing: {'; '.join(map(str, slow))}", UserWarning, stacklevel=3
        )
    # torchrec 1.8 treats no module as a leaf if none is sharded, and its tracing fails inside plain modules
    if slow or not findings:
        return TrainPipelineBase(dmp, optimizer, group.device)
    return TrainPipelineSparseDist(dmp, optimizer, group.device, execute_all_batches=True)


def _name(model: nn.Module) -> str:
    part = getattr(model, "encoder", None) or getattr(model, "interaction", None) or model
    return type(part).__name__
