"""fit(): trains a model on every rank of the process group."""

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.train_pipeline import TrainPipelineBase, TrainPipelineSparseDist
from torchrec.distributed.types import ShardedModule
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext import contracts, plugins
from torchrec_ext.data.candidates import Candidates, Kind
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.labelled_events import LabelledEvents
from torchrec_ext.data.last_events import LastEvents
from torchrec_ext.data.loader import Examples, Loader
from torchrec_ext.data.next_events import NextEvents
from torchrec_ext.distributed import Group, join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.models import task_for
from torchrec_ext.training.checkpoint import (
    find_checkpoint,
    load_training_state,
    load_weights,
    point,
    read_model_description,
    save_checkpoint,
)
from torchrec_ext.training.epoch import Epoch, train_epoch
from torchrec_ext.training.load import check_schema
from torchrec_ext.training.optimizers import make_optimizer
from torchrec_ext.training.progress import Progress

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
    positive: float = 4.0,
    table_learning_rate: float = 0.02,
    learning_rate: float = 2e-3,
    weight_decay: float = 0.0,
    sharding: Mapping[str, str] | None = None,
    precision: str = "float32",
    patience: int = 3,
    monitor: str | None = None,
    output: Path | str | None = None,
    resume: bool = False,
    checkpoint_every: int | None = None,
    keep: int = 2,
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
        global_batch_size: examples a step over all ranks; None takes 64 histories where every next
            event of one is learnt, else 2,048 events.
        candidates: of the softmax: ``catalogue``, ``sampled`` or ``in_batch``; None takes the whole
            catalogue up to 50,000 items, a sample beyond.
        sampled: draws a step, for ``sampled``.
        positive: least rating of an interested user, for a ranker.
        table_learning_rate: of the fused row-wise Adagrad.
        learning_rate: of AdamW.
        weight_decay: of AdamW.
        sharding: table -> sharding type; the planner chooses for the others.
        precision: ``float32`` or ``bfloat16`` (autocast) of a retriever's dense part.
        patience: epochs without a better validation figure before training stops.
        monitor: the validation figure; None takes ``ndcg@10`` or ``auc``.
        output: folder of the run: checkpoints, ``history.csv``, ``curves.png``, TensorBoard.
        resume: goes on from the newest checkpoint in ``output`` at the exact next batch.
        checkpoint_every: steps between checkpoints within an epoch; each epoch's end has one anyway.
        keep: newest checkpoints that stay beside the best.
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
    if any(isinstance(m, ShardedModule) for m in model.modules()):
        raise InputError(
            "the model is sharded already, so it was trained; build a new one, or go on with resume=True"
        )
    group = join_group(device)
    own: Any = model
    examples, size = _examples(own, train, candidates, sampled, positive, global_batch_size)
    loader = Loader(examples, size, rank=group.rank, world_size=group.world_size, seed=seed)
    task = task_for(model, group.world_size, _dtype(precision))
    say = print if progress and group.first else None
    if say:
        say(
            f"global batch of {size:,} over {group.world_size} rank(s): {size // group.world_size:,} each; {len(loader):,} steps an epoch"
        )
    dmp = shard(
        task, sharding=sharding, learning_rate=table_learning_rate, device=device,
        batch_size=max(size // group.world_size, 1), say=say,
    )  # fmt: skip
    initialise_tables(model, own.dim, seed)
    model.preparation = train.preparation  # type: ignore[assignment]
    optimizer = make_optimizer(dmp, learning_rate, weight_decay)
    state = _State()
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(output) if output is not None else _shared(scratch)
        if resume and output is not None and (run / "checkpoints" / "latest").is_file():
            state = _resume(run, model, optimizer, train)
        told = Progress(
            run if output is not None else None, group.first, progress, _name(model), state.history
        )
        watch = _Watch(model, train, valid, monitor, positive)
        epoch = Epoch(_pipeline(dmp, optimizer, group), loader, group, seed, told, on_step)
        started = time.perf_counter() - state.seconds

        def save(number: int, step: int) -> Path:
            state.seconds = time.perf_counter() - started
            position = {**vars(state), "epoch": number, "step": step}
            return save_checkpoint(
                run, number * len(loader) + step, model, optimizer, train.preparation, position, keep
            )

        while state.epoch < epochs and state.bad < patience:
            told.start_epoch(state.epoch, epochs, len(loader), state.step)
            row = train_epoch(
                epoch, state.epoch, state.step, isinstance(model, contracts.Ranker), checkpoint_every, save
            )
            row |= watch.validate()
            better = watch.better(row, state.best)
            state.bad = 0 if better else state.bad + 1
            state.best = row.get(watch.column) if better else state.best
            told.end_epoch((state.epoch + 1) * len(loader), row)
            folder = save(state.epoch + 1, 0)
            if better and group.first:
                point(run, "best", folder)
            dist.barrier()
            state.epoch, state.step = state.epoch + 1, 0
        told.close()
        if (run / "checkpoints" / "best").is_file():
            load_weights(find_checkpoint(run, "best"), model)
        dist.barrier()  # nobody takes the scratch folder away while another reads
    own.training_seconds = time.perf_counter() - started
    own.epochs_trained = len(told.history)
    own.examples_per_second = float(np.mean([row["samples_per_second"] for row in told.history] or [0.0]))
    return model.eval()


@dataclass
class _State:
    """Where a run stands."""

    epoch: int = 0
    step: int = 0
    best: float | None = None
    bad: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] | None = None

    def __post_init__(self) -> None:
        self.history = self.history or []


class _Watch:
    """Validates after each epoch and knows what is better."""

    def __init__(
        self, model: nn.Module, train: Dataset, valid: Dataset | None, monitor: str | None, positive: float
    ) -> None:
        self.model, self.train, self.valid, self.positive = model, train, valid, positive
        self.ranker = isinstance(model, contracts.Ranker)
        self.column = f"valid_{monitor or ('auc' if self.ranker else 'ndcg@10')}"
        self.lower = "loss" in self.column or "rmse" in self.column

    def validate(self) -> dict[str, float]:
        """The validation figures, named ``valid_...``."""
        if self.valid is None:
            return {}
        k = min(10, len(self.train.preparation.vocabularies["item"]) - 1)
        figures = evaluate(self.model, self.train, self.valid, k=(k,), positive=self.positive)
        names = {"log_loss": "loss"} if self.ranker else {}
        kept = [n for n in figures if n not in ("users", "items")]
        row = {f"valid_{names.get(n, n)}": float(figures[n]) for n in kept}
        if self.column not in row and self.column.removeprefix("valid_") == "ndcg@10":
            self.column = f"valid_ndcg@{k}"  # a catalogue of fewer than 10 items
        if self.column not in row:
            raise InputError(
                f"monitor names {self.column.removeprefix('valid_')!r}; there are {', '.join(kept)}"
            )
        return row

    def better(self, row: dict[str, Any], best: float | None) -> bool:
        """Whether this epoch beats the best so far; without validation the newest is best."""
        if self.valid is None or best is None:
            return True
        return row[self.column] < best if self.lower else row[self.column] > best


def _examples(
    model: Any, train: Dataset, candidates: Kind | None, sampled: int, positive: float, size: int | None
) -> tuple[Examples, int]:
    """What the model learns from, and the global batch size."""
    if isinstance(model, contracts.Ranker):
        return LabelledEvents(train, train, model.inputs, positive), size or 2048
    items = len(train.preparation.vocabularies["item"]) - 1
    counts = np.bincount(train.events.items, minlength=items + 1)[1:]
    drawn = Candidates(candidates or ("catalogue" if items <= 50_000 else "sampled"), counts, sampled)
    if model.inputs.every_position:
        return NextEvents(train, model.inputs, drawn), size or 64
    return LastEvents(train, model.inputs, drawn), size or 2048


def _pipeline(
    dmp: DistributedModelParallel, optimizer: CombinedOptimizer, group: Group
) -> TrainPipelineBase | TrainPipelineSparseDist:
    if any(isinstance(m, ShardedModule) for m in dmp.modules()):
        return TrainPipelineSparseDist(dmp, optimizer, group.device, execute_all_batches=True)
    # torchrec 1.8 takes no module for a leaf where none is sharded, and its tracing fails inside plain ones
    return TrainPipelineBase(dmp, optimizer, group.device)


def _resume(run: Path, model: nn.Module, optimizer: CombinedOptimizer, train: Dataset) -> _State:
    folder = find_checkpoint(run, "latest")
    check_schema(train.schema, _saved_schema(folder), folder)
    described = plugins.specification(model, without=("schema",))
    if read_model_description(folder) != _as_json(described):
        raise InputError(
            f"the run {run} trains another model: {read_model_description(folder)}; received {described}"
        )
    return _State(**load_training_state(folder, model, optimizer))


def _saved_schema(folder: Path) -> Any:
    from torchrec_ext.schema import Schema

    return Schema.from_json((folder / "preparation" / "schema.json").read_text())


def _as_json(value: Any) -> Any:
    import json

    return json.loads(json.dumps(value))


def _shared(scratch: str) -> Path:
    """Rank 0's scratch folder, for all ranks."""
    names = [scratch]
    dist.broadcast_object_list(names, src=0)
    return Path(names[0])


def _dtype(precision: str) -> torch.dtype:
    kinds = {"float32": torch.float32, "bfloat16": torch.bfloat16}
    if precision not in kinds:
        raise InputError(f"precision must be one of {', '.join(kinds)}; received {precision!r}")
    return kinds[precision]


def _name(model: nn.Module) -> str:
    part = getattr(model, "encoder", None) or getattr(model, "interaction", None) or model
    return type(part).__name__
