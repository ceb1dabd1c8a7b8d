"""Checkpoints: weights, optimizer, vocabulary, schema and data position in one folder, written atomically."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.distributed import quiet_libraries
from torchrec_ext.errors import InputError
from torchrec_ext.plugins import specification
from torchrec_ext.training.evict import IdleRows, copy_rows
from torchrec_ext.training.find_checkpoint import POINTERS, checkpoints_of, point, pointed_to
from torchrec_ext.training.growing_planner import GrowingPlanner
from torchrec_ext.training.manifest import sync, write_manifest
from torchrec_ext.training.safe_reader import SafeReader

VERSION = 2


def save_checkpoint(
    run: Path,
    step: int,
    model: nn.Module,
    optimizer: CombinedOptimizer,
    preparation: Preparation,
    position: dict[str, Any],
    settings: Mapping[str, Any],
    *,
    keep: int = 2,
    best: bool = False,
) -> Path:
    """Writes ``run/checkpoints/step-<step>``; every rank must call it.

    The folder gets its name only when it is complete; only then ``latest`` points to it. The newest
    ``keep`` checkpoints are kept, and the one that ``best`` points to.

    Args:
        run: folder of the run, on a file system that all ranks share.
        step: optimizer steps taken.
        model: the model with sharded tables, without the task around it.
        optimizer: of :func:`~torchrec_ext.training.optimizers.make_optimizer`.
        preparation: how ids became rows.
        position: epoch and step within it, and the state of early stopping; plain JSON values.
        settings: the arguments of ``fit``; plain JSON values.
        keep: how many of the newest checkpoints are kept.
        best: whether ``best`` points to it too.

    Raises:
        InputError: on every rank, if the folder cannot be written, such as on a full disk.
    """
    folder = run / "checkpoints" / f"step-{step:08d}"
    partial = folder.with_suffix(".partial")
    first = dist.get_rank() == 0
    if first:
        for unfinished in folder.parent.glob("*.partial"):
            shutil.rmtree(unfinished)
        partial.mkdir(parents=True)
    dist.barrier()
    try:
        with quiet_libraries():
            dcp.save(_state(model, optimizer), storage_writer=dcp.FileSystemWriter(partial))
    except CheckpointException as error:
        cause = _cause(error)
        if isinstance(cause, OSError) or "inline_container" in str(cause):  # torch's writer of a zip file
            reason = cause if isinstance(cause, OSError) else "the disk is full or fails"
            raise InputError(f"the checkpoint {folder} cannot be written: {reason}") from error
        raise cause from error
    description = {"version": VERSION, "model": specification(model, without=("schema",))}
    try:
        if first:
            preparation.save(partial / "preparation")
            _write(partial / "model.json", description)
            _write(partial / "position.json", position)
            _write(partial / "training.json", settings)
        write_manifest(partial)
    except OSError as error:  # a library may not name the file
        raise InputError(f"the checkpoint {folder} cannot be written: {error}") from error
    if first:
        shutil.rmtree(folder, ignore_errors=True)
        partial.rename(folder)
        sync(folder.parent)
        if best:  # before latest, whose position counts this one as the best
            point(run, "best", folder)
        point(run, "latest", folder)
        _prune(run, keep)
    dist.barrier()
    return folder


def load_weights(folder: Path, model: nn.Module) -> None:
    """Reads weights, written with any sharding, into a sharded model; every rank must call it."""
    _read(folder, {"model": model.state_dict()})


def load_training_state(
    folder: Path,
    model: nn.Module,
    optimizer: CombinedOptimizer,
    *,
    grows: bool = False,
    idle: IdleRows | None = None,
) -> dict[str, Any]:
    """Reads weights and optimizer state; every rank must call it.

    Args:
        folder: of the checkpoint.
        model: sharded.
        optimizer: of the model.
        grows: whether tables may have rows behind the saved ones, which are left as they are.
        idle: rows of the tables of users and items that are left as they are too.

    Returns:
        The position that was saved.

    Raises:
        InputError: if the optimizer state has another layout, such as after a table changed from fused to
            replicated or column-wise.
    """
    state = _state(model, optimizer)
    kept = copy_rows(state, idle or {})
    _read(folder, state, GrowingPlanner() if grows else None)
    for tensor, rows, values in kept:
        tensor[rows] = values
    current = optimizer.state_dict()
    optimizer.load_state_dict({**current, "state": state["optimizer"]})
    return json.loads((folder / "position.json").read_text())


def read_model_description(folder: Path) -> dict[str, Any] | None:
    """The input of :func:`~torchrec_ext.plugins.rebuild`, or None for a model that cannot be described."""
    content = json.loads((folder / "model.json").read_text())
    if content["version"] != VERSION:
        raise InputError(
            f"{folder} was written in version {content['version']} of the format, this release reads "
            f"{VERSION}; install the release that wrote it"
        )
    return content["model"]


def _state(model: nn.Module, optimizer: CombinedOptimizer) -> dict[str, Any]:
    # the settings of the optimizers are not tensors; they come from the settings of the run
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}


def _read(folder: Path, state: dict[str, Any], planner: GrowingPlanner | None = None) -> None:
    try:
        with quiet_libraries():
            dcp.load(state, storage_reader=SafeReader(folder), planner=planner)
    except CheckpointException as error:
        cause = _cause(error)
        if isinstance(cause, InputError):
            raise InputError(str(cause)) from error
        first_line = str(cause).strip().splitlines()[0]
        raise InputError(
            f"the checkpoint {folder} does not fit the model: {first_line}; "
            "open it with the schema, dim, modules and sharding types it was trained with"
        ) from error


def _cause(error: CheckpointException) -> BaseException:
    """The error to report: a mistake of the user if there is one, else the error of the first rank."""
    causes = [cause for cause, _ in error.failures.values()]
    return next((c for c in causes if isinstance(c, InputError)), causes[0])


def _prune(run: Path, keep: int) -> None:
    kept = [pointed_to(run, name) for name in POINTERS]
    for old in checkpoints_of(run)[keep:]:
        if old not in kept:
            shutil.rmtree(old)


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
