"""fit(): trains a model on every rank of the process group."""

import time
from collections.abc import Callable, Mapping, Sequence
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
from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.batching.candidates import Candidates, Kind
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Examples, Loader
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.distributed import Group, join_group, quiet_libraries, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import task_for
from torchrec_ext.retrieval.encode import inputs_of
from torchrec_ext.training.epoch import Epoch, train_epoch
from torchrec_ext.training.keeper import Keeper
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.progress import Progress
from torchrec_ext.training.run_state import RunState, resume_run
from torchrec_ext.training.warm_up import WarmUp
from torchrec_ext.training.watch import Watch

Model = TypeVar("Model", bound=nn.Module)


def fit(
    model: Model,
    train: Dataset,
    valid: Dataset | None = None,
    *,
    epochs: int = 5,
    global_batch_size: int | None = None,
    candidates: Kind | None = None,
    sampled: int = 512,
    positive: float | Sequence[float] = 4.0,
    weigh_by_rating: bool = False,
    table_learning_rate: float = 0.1,
    learning_rate: float = 2e-3,
    warmup_steps: int | None = None,
    weight_decay: float = 0.0,
    sharding: Mapping[str, str] | None = None,
    precision: str = "float32",
    patience: int = 3,
    monitor: str | None = None,
    output: Path | str | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    keep: int = 2,
    prefetch: int = 2,
    seed: int = 0,
    device: str = "cpu",
    progress: bool = True,
    on_step: Callable[[int, float], None] | None = None,
) -> Model:
    """Shards a model over the process group and trains it; every rank must call it.

    A retriever learns by softmax cross-entropy, a ranker by binary cross-entropy. Sharded tables are
    updated in the backward pass by fused row-wise Adagrad, the rest by AdamW. After each epoch the
    model is validated; at the end the best epoch's weights are in it.

    Args:
        model: not sharded yet.
        train: the events to learn from.
        valid: the events to validate on; None trains all epochs and keeps the last.
        epochs: at most so many.
        global_batch_size: examples a step over all ranks; None takes 32 histories where every next
            event of one, or hidden ones, are learnt, else 2,048 events.
        candidates: of the softmax: ``catalogue``, ``sampled`` or ``in_batch``; None takes the whole
            catalogue up to 50,000 items, a sample beyond or where the scorer is no dot product.
        sampled: draws a step, for ``sampled``.
        positive: least rating of an interested user, for a ranker; several for as many tasks, of which the
            first is validated.
        weigh_by_rating: positives of a ranker weigh as much as their rating, such as the time watched.
        table_learning_rate: of the fused row-wise Adagrad.
        learning_rate: of AdamW.
        warmup_steps: over which AdamW's learning rate rises linearly; None takes half an epoch, at most
            100, where a label is learnt from each event of a history, else none.
        weight_decay: of AdamW.
        sharding: table -> sharding type; the planner chooses for the others.
        precision: ``float32`` or ``bfloat16`` (autocast) of a retriever's dense part.
        patience: epochs without a better validation figure before training stops.
        monitor: the validation figure that counts; None takes ``ndcg@10`` or ``auc``.
        output: folder of the run: checkpoints, ``history.csv``, ``curves.png``, TensorBoard; on a file
            system that every rank sees. None writes nothing.
        resume: goes on from the newest checkpoint in ``output`` at the exact next batch; where there is
            none, the run begins.
        checkpoint_every: steps between checkpoints within an epoch; each epoch's end has one anyway.
        keep: newest checkpoints that stay beside the best.
        prefetch: batches that a thread makes ready while the model computes; 0 makes each when its turn
            comes. It changes nothing of what is learnt.
        seed: of the tables' first weights, the order of batches, dropout and samples.
        device: ``cpu`` or ``cuda``.
        progress: shows a progress bar and a line an epoch on rank 0.
        on_step: is told each step's number and its loss over the global batch, on every rank.

    Returns:
        The model, its tables sharded, with ``preparation``, ``training_seconds``, ``epochs_trained`` and
        ``examples_per_second`` set.

    Raises:
        InputError: for settings or data that cannot be used, or a loss that is no number.
    """
    expect_at_least(1, epochs=epochs, patience=patience, keep=keep)
    expect_at_least(
        0, learning_rate=learning_rate, table_learning_rate=table_learning_rate, weight_decay=weight_decay,
        warmup_steps=warmup_steps or 0, prefetch=prefetch,
    )  # fmt: skip
    if checkpoint_every is not None:
        expect_at_least(1, checkpoint_every=checkpoint_every)
    if output is None and (resume or checkpoint_every):
        raise InputError("resume and checkpoint_every need output, the folder of the run")
    if getattr(model, "preparation", None) is not None:
        raise InputError("the model was trained already; build a new one, or go on with resume=True")
    run = None if output is None else Path(output)
    going_on = run is not None and (run / "checkpoints" / "latest").is_file()
    if going_on and not resume:
        raise InputError(f"output {run} holds a run; go on with resume=True, or name another folder")

    group = join_group(device)
    task = task_for(model, group.world_size, _dtype(precision))
    if isinstance(model, contracts.Ranker):
        examples = _pairs(model, train, positive, weigh_by_rating)
        size = 2048 if global_batch_size is None else global_batch_size
    else:
        examples, size = _histories(model, train, candidates, sampled, global_batch_size)
    loader = Loader(examples, size, rank=group.rank, world_size=group.world_size, seed=seed)
    watch = Watch(model, train, valid, monitor, positive)
    say = print if progress and group.first else None
    if say:
        each = f"{size // group.world_size:,} each; {len(loader):,} steps an epoch"
        say(f"global batch of {size:,} over {group.world_size} rank(s): {each}")
    dmp = shard(
        task, sharding=sharding, learning_rate=table_learning_rate, device=device,
        batch_size=size // group.world_size, say=say,
    )  # fmt: skip
    initialise_tables(model, seed)
    optimizer = make_optimizer(dmp, learning_rate, weight_decay)
    an_event = not isinstance(model, contracts.Ranker) and inputs_of(model).label_an_event
    # not of the number of epochs: a run that goes on with more of them has learnt the same so far
    gently = min(100, len(loader) // 2) if an_event else 0
    warm_up = WarmUp(optimizer, gently if warmup_steps is None else warmup_steps)
    state = RunState(seed, size, len(loader))
    if run is not None and going_on:
        state = resume_run(run, model, optimizer, train.preparation, state)
    keeper = Keeper(run, model, optimizer, train.preparation, keep)
    started = time.perf_counter() - state.seconds

    def save(best: bool = False) -> None:
        state.seconds = time.perf_counter() - started
        keeper.save(state, best=best)

    dmp.train()
    with Progress(run, group.first, progress, _name(model), state.history) as told:
        epoch = Epoch(
            _pipeline(dmp, optimizer, group), loader, inputs_of(model), group, told,
            isinstance(model, contracts.Ranker), on_step, checkpoint_every, save, warm_up, prefetch,
        )  # fmt: skip
        while state.epoch < epochs and state.bad < patience:
            told.start_epoch(state.epoch, epochs, state.steps, state.step)
            with quiet_libraries():
                row = train_epoch(epoch, state)
            row |= watch.validate()
            better = watch.better(row, state.best)
            state.best = row.get(watch.column) if better else state.best
            state.bad = 0 if better else state.bad + 1
            state.epoch, state.step = state.epoch + 1, 0
            told.end_epoch(state.epoch * state.steps, row)
            save(best=better)
    keeper.restore_best()

    trained: Any = model
    trained.preparation = train.preparation
    trained.training_seconds = time.perf_counter() - started
    trained.epochs_trained = len(state.history)
    trained.examples_per_second = float(np.mean([row["samples_per_second"] for row in state.history]))
    return model.eval()


def _pairs(
    model: contracts.Ranker, train: Dataset, positive: float | Sequence[float], weigh_by_rating: bool
) -> Examples:
    """The labelled pairs a ranker learns from."""
    tasks, given = getattr(model, "tasks", None), np.size(positive)
    if tasks not in (None, given):
        raise InputError(
            f"the model has {tasks} task(s), but positive gives {given} threshold(s): {positive}"
        )
    return LabelledEvents(train, train, model.inputs, positive, weigh_by_rating)


def _histories(
    model: Any, train: Dataset, candidates: Kind | None, sampled: int, size: int | None
) -> tuple[Examples, int]:
    """What a retriever learns from, and the global batch size."""
    items = len(train.preparation.vocabularies["item"]) - 1
    counts = np.bincount(train.events.items, minlength=items + 1)[1:]
    few = items <= 50_000 and model.scorer.indexable
    drawn = Candidates(candidates or ("catalogue" if few else "sampled"), counts, sampled)
    if model.inputs.label_an_event:
        examples = HiddenEvents if model.inputs.masked else NextEvents
        return examples(train, model.inputs, drawn), 32 if size is None else size
    return LastEvents(train, model.inputs, drawn), 2048 if size is None else size


def _pipeline(
    dmp: DistributedModelParallel, optimizer: CombinedOptimizer, group: Group
) -> TrainPipelineBase | TrainPipelineSparseDist:
    if any(isinstance(m, ShardedModule) for m in dmp.modules()):
        return TrainPipelineSparseDist(dmp, optimizer, group.device, execute_all_batches=True)
    # torchrec 1.8 takes no module for a leaf where none is sharded, and its tracing fails inside plain ones
    return TrainPipelineBase(dmp, optimizer, group.device)


def _dtype(precision: str) -> torch.dtype:
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in kinds:
        raise InputError(f"precision must be one of {', '.join(kinds)}; received {precision!r}")
    return kinds[precision]


def _name(model: nn.Module) -> str:
    part = getattr(model, "encoder", None) or getattr(model, "interaction", None) or model
    return type(part).__name__
