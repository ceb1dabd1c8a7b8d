"""load(): opens a run in any number of processes."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from torch import nn

from torchrec_ext.data.preparation import Preparation
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.errors import InputError
from torchrec_ext.plugins import rebuild
from torchrec_ext.retrieval.trained_model import TrainedModel
from torchrec_ext.schema import Schema
from torchrec_ext.training.checkpoint import load_weights, read_model_description
from torchrec_ext.training.find_checkpoint import find_checkpoint
from torchrec_ext.training.manifest import reading_saved


def load(
    path: Path | str,
    *,
    model: nn.Module | None = None,
    sharding: Mapping[str, str] | None = None,
    device: str = "cpu",
) -> TrainedModel:
    """Opens the best checkpoint of a run, or the newest if there is no best; every rank must call it.

    In a notebook it creates a process group of one process; under torchrun it shards over all ranks.
    Sharding and number of processes may differ from those of training.

    Args:
        path: folder of a run or of one of its checkpoints.
        model: built but not sharded, for a model with parts that cannot be described in JSON; None
            builds the model from its description.
        sharding: see :func:`torchrec_ext.distributed.shard`.
        device: ``cpu`` or ``cuda``.

    Returns:
        The trained model, in evaluation mode, as ``fit`` returned it.

    Raises:
        InputError: if there is no whole checkpoint, or ``model`` has another schema or architecture, or
            is sharded already.
    """
    join_group(device)
    folder = find_checkpoint(path)
    # a run went on after its best epoch; one of its checkpoints ends where it was written
    newest = folder
    if Path(path).resolve() != folder.resolve():  # a kill may have come before "latest" pointed to the best
        newest = max(folder, find_checkpoint(path, "latest", "best"), key=lambda found: found.name)
    with reading_saved(f"the checkpoint {folder}"):
        preparation = Preparation.load(folder / "preparation")
        description = read_model_description(folder)
        settings = json.loads((folder / "training.json").read_text())
        position = json.loads((newest / "position.json").read_text())
        history, seconds = pd.DataFrame(position["history"]), float(position["seconds"])
    if model is None:
        if description is None:
            raise InputError(
                f"the model of {path} has parts that cannot be built from JSON; pass it as model="
            )
        model = rebuild(description, schema=preparation.schema)
    check_schema(getattr(model, "schema", preparation.schema), preparation.schema, folder)
    shard(model, sharding=sharding, device=device)
    load_weights(folder, model)
    return TrainedModel(model.eval(), preparation, history, settings, folder.parent.parent, folder, seconds)


def check_schema(schema: Schema, saved: Schema, folder: Path) -> None:
    """Refuses a checkpoint of another schema, naming the first difference."""
    for kind in ("tables", "features", "dense"):
        mine, theirs = getattr(schema, kind), getattr(saved, kind)
        if mine != theirs:
            pairs = [(m, t) for m, t in zip(mine, theirs, strict=False) if m != t]
            difference = (
                f"{pairs[0][0]} here, {pairs[0][1]} in the checkpoint"
                if pairs
                else f"{len(mine)} here, {len(theirs)} in the checkpoint"
            )
            raise InputError(
                f"the checkpoint {folder} has another schema ({kind}: {difference}); use the data it was "
                "trained on, or start a new run"
            )
