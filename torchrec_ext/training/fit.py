"""fit(): trains a model on every rank of the process group."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import nn
from torchrec.distributed.types import ShardedModule
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext.checks import expect_whole
from torchrec_ext.data.dataset import Dataset, expect_part
from torchrec_ext.data.positive import Positive
from torchrec_ext.distributed.find_collections import find_collections
from torchrec_ext.embeddings import Embeddings
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import inputs_of
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.training.find_checkpoint import has_checkpoints
from torchrec_ext.training.resolve_loss import resolve_loss
from torchrec_ext.training.run_state import RunState, resume_run
from torchrec_ext.training.settings import Checkpoints, EarlyStopping, Optimization
from torchrec_ext.training.train_epochs import train_epochs

Model = TypeVar("Model", bound=nn.Module)


def fit(
    model: Model,
    train: Dataset,
    valid: Dataset | None = None,
    *,
    epochs: int = 5,
    loss: str | type[nn.Module] | nn.Module | Callable[..., Any] | None = None,
    positive: Positive = 4.0,
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
    if seed >= 2**63:
        raise InputError(f"seed should be below 2**63, received {seed}")
    run = None if output is None else Path(output)
    resuming = run is not None and has_checkpoints(run)
    if resuming and not resume:
        raise InputError(f"output {run} contains a run; pass resume=True, or choose another folder")

    inputs_of(model)  # a retriever or a ranker
    _expect_untrained(model)
    if getattr(model, "schema", train.schema) != train.schema:
        raise InputError(
            f"the model was built for the schema of other data than {train.name}; build it with train.schema"
        )

    def start(optimizer: CombinedOptimizer, fresh: RunState) -> RunState:
        if run is None or not resuming:
            return fresh
        return resume_run(run, model, optimizer, train.preparation, fresh)

    return train_epochs(
        model, train, valid, start, epochs=epochs, loss=resolve_loss(loss, model), positive=positive,
        optimization=optimization, early_stopping=early_stopping, exclude_seen=exclude_seen,
        checkpoints=checkpoints, run=run, sharding=sharding, prefetch=prefetch, seed=seed, device=device,
        progress=progress, on_step=on_step,
    )  # fmt: skip


def _expect_untrained(model: nn.Module) -> None:
    """Refuses a model whose tables have weights: it was trained or sharded before."""
    sharded = any(isinstance(module, ShardedModule) for module in model.modules())
    ours = [module for module in model.modules() if isinstance(module, Embeddings)]
    collections = [one for module in ours for one in find_collections(module).values()]
    if sharded or any(not table.is_meta for tables in collections for table in tables.parameters()):
        raise InputError(
            "the model was trained or sharded already; build a new one, or resume its run with resume=True"
        )
