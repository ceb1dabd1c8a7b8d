"""continue_training(): a trained model learns from later events, with rows for new users and items."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from torch import nn
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext import plugins
from torchrec_ext.checks import expect_whole
from torchrec_ext.data.events import Events, expect_events
from torchrec_ext.data.instants import Span
from torchrec_ext.data.join_events import join_events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained
from torchrec_ext.schema import Schema
from torchrec_ext.training.checkpoint import load_training_state, read_model_description
from torchrec_ext.training.evict import idle_rows, without_rows
from torchrec_ext.training.find_checkpoint import (
    POINTERS,
    find_checkpoint,
    has_checkpoints,
    pointed_to,
)
from torchrec_ext.training.new_events import new_events
from torchrec_ext.training.resolve_loss import resolve_loss
from torchrec_ext.training.run_state import RunState
from torchrec_ext.training.settings import Checkpoints, EarlyStopping, Optimization
from torchrec_ext.training.train_epochs import train_epochs

Model = TypeVar("Model", bound=nn.Module)


def continue_training(
    trained: TrainedModel[Model],
    events: Events,
    known: Events | None = None,
    *,
    epochs: int = 1,
    loss: str | type[nn.Module] | nn.Module | Callable[..., Any] | None = None,
    optimization: Optimization | None = None,
    output: Path | str | None = None,
    evict_after: Span | None = None,
    build: Callable[[Schema], nn.Module] | None = None,
    sharding: Mapping[str, str] | None = None,
    prefetch: int = 2,
    device: str = "cpu",
    progress: bool = True,
    on_step: Callable[[int, float], None] | None = None,
    record: Mapping[str, Any] | None = None,
) -> TrainedModel[Model]:
    """Trains a model on later events; every rank must call it.

    Users, items and values of categories that the model does not know get rows behind the known ones, on
    every rank. No row moves: weights and optimizer state of known rows go on as they were, and a new row
    begins as if it had been there from the start. Scales and buckets of numbers stay as they were fitted.
    TorchRec's managed collision (ZCH) is not used: in torchrec 1.8 its planner finds no plan for a CPU, and
    fbgemm 1.8 has no CPU kernel to reset an evicted row.

    The training is saved once, when it is complete, so that a run holds all of the events or none.

    Args:
        trained: of ``fit(..., output=...)`` or ``load``: weights and optimizer state are read from its
            checkpoint. It stays as it is.
        events: the later events, each of which is learnt once an epoch.
        known: the events before them, which histories are read from; None for none. To continue again, join
            both with :func:`~torchrec_ext.data.join_events`.
        epochs: number of epochs on the later events.
        loss: as of ``fit``; None takes that of the training.
        optimization: batch size, learning rates and precision; None takes those of the training.
        output: folder of the run to write, or of the run of ``trained``, which then goes on. None writes
            nothing.
        evict_after: users and items without an event for so long before the newest one, in seconds or as a
            span such as ``"90 days"``, become unknown, and new ones take their rows over; None keeps all.
        build: makes a new model for the grown schema, where it cannot be described in JSON; None builds it
            from its description.
        sharding: table -> sharding type; None takes that of the training.
        prefetch: see ``fit``.
        device: ``cpu`` or ``cuda``.
        progress: shows a progress bar and one line per epoch on rank 0.
        on_step: see ``fit``.
        record: what the run records of its data, as plain values; None records where the events came from.

    Returns:
        The trained model; its history goes on.

    Raises:
        InputError: if the model has no checkpoint, the output is another run, or the events lack a column
            that the model reads or hold ids of another kind.
        NothingToLearn: an InputError, if no event is one that the model could learn from.

    Example:
        >>> import tempfile, pandas as pd, torchrec_ext as tx
        >>> heard = pd.DataFrame({"user": [1] * 4 + [2] * 4 + [3] * 4, "item": list("abcdbcdacdab")})
        >>> train, _, _ = tx.data.leave_last_out(known := tx.data.read_events(heard))
        >>> model = tx.models.TwoTower(train.schema, dim=4)
        >>> trained = tx.training.fit(model, train, epochs=1, output=tempfile.mkdtemp(), progress=False)
        >>> later = tx.data.read_events(pd.DataFrame({"user": [1, 4], "item": ["b", "e"]}))
        >>> grown = continue_training(trained, later, known, progress=False)
        >>> grown.epochs, grown.item_vectors(["a", "e"])["item"].tolist()
        (2, ['a', 'e'])
    """
    expect_trained(trained)
    expect_events(events)
    expect_whole(1, epochs=epochs)
    if trained.checkpoint is None:
        raise InputError(
            "trained has no checkpoint, which the state of its optimizer is read from; train it with "
            "fit(..., output=FOLDER), or open a run with load"
        )
    checkpoint, settings = find_checkpoint(trained.checkpoint), trained.settings
    run = None if output is None else Path(output)
    if run is not None and has_checkpoints(run) and run.resolve() != checkpoint.parents[1].resolve():
        raise InputError(f"output {run} contains another run; choose another folder, or that of the model")
    both = events if known is None else join_events(known, events, repeats=True)
    if evict_after is not None and known is None:
        raise InputError("evict_after needs the known events, which say when each id had its last one")
    idle = idle_rows(trained.preparation, both, evict_after)
    before = replace(trained.preparation, trained=without_rows(trained.preparation.trained, idle))
    part = new_events(before, both, np.arange(len(both)) >= len(both) - len(events), idle)
    model = _built_again(checkpoint, part.schema, build)
    loss = _loss_of(settings) if loss is None else loss
    state = json.loads((checkpoint / "position.json").read_text())

    def start(optimizer: CombinedOptimizer, fresh: RunState) -> RunState:
        load_training_state(checkpoint, model, optimizer, grows=True, idle=idle)
        return replace(
            fresh, epoch=state["epoch"], history=list(state["history"]), seconds=state["seconds"],
            first_epoch=state["epoch"], first_step=_newest_step(checkpoint, run),
        )  # fmt: skip

    return train_epochs(
        cast(Model, model), part, None, start,
        epochs=state["epoch"] + epochs, loss=resolve_loss(loss, model), positive=settings["positive"],
        optimization=optimization or Optimization(**settings["optimization"]),
        early_stopping=EarlyStopping(**settings["early_stopping"]), exclude_seen=settings["exclude_seen"],
        checkpoints=Checkpoints(**settings["checkpoints"]), run=run,
        sharding=settings["sharding"] if sharding is None else sharding, prefetch=prefetch,
        seed=settings["seed"], device=device, progress=progress, on_step=on_step,
        learnt_before=before.trained, record=record,
    )  # fmt: skip


def _built_again(checkpoint: Path, schema: Schema, build: Callable[[Schema], nn.Module] | None) -> nn.Module:
    """A new model for a schema, whose weights are loaded later."""
    with torch.random.fork_rng(devices=[]):
        if build is not None:
            model = build(schema)
        elif description := read_model_description(checkpoint):
            model = plugins.rebuild(description, schema=schema)
        else:
            raise InputError(
                f"the model of {checkpoint} has parts that cannot be built from JSON; pass build=, a "
                "function that makes a new model for a schema"
            )
    if getattr(model, "schema", schema) != schema:
        raise InputError("build returned a model of another schema; use the one that it is called with")
    return model


def _loss_of(settings: Mapping[str, Any]) -> nn.Module:
    """The loss that a model was trained with."""
    described = settings["loss"]
    if described is None or "class" not in described:
        name = "one that cannot be described" if described is None else described["function"]
        raise InputError(f"the model was trained with a loss of its own ({name}); pass it as loss=")
    return plugins.rebuild(described)


def _newest_step(checkpoint: Path, run: Path | None) -> int:
    """The number of steps of a checkpoint, or of the newest one that the run which goes on points to.

    A checkpoint that a killed process did not come to point to is written again, from the same step.
    """
    pointed = [] if run is None else [pointed_to(run, name) for name in POINTERS]
    found = [checkpoint, *(folder for folder in pointed if folder is not None)]
    return max(int(folder.name.removeprefix("step-")) for folder in found)
