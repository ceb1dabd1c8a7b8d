"""RunState: the position of a run, and how it is resumed from a checkpoint."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn
from torchrec.optim.keyed import CombinedOptimizer

from torchrec_ext import plugins
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.training.checkpoint import load_training_state, read_model_description
from torchrec_ext.training.find_checkpoint import find_checkpoint
from torchrec_ext.training.load import check_schema
from torchrec_ext.training.manifest import reading_saved


@dataclass
class RunState:
    """What a resumed run needs besides weights and optimizer state; plain JSON values.

    Args:
        seed: of order, dropout and samples.
        global_batch_size: examples per step over all ranks.
        steps: steps per epoch.
        epoch: number of completed epochs.
        step: number of completed steps of the next epoch.
        loss_sum: sum of the losses of those steps.
        best: the best validation metric so far.
        epochs_without_improvement: epochs since then.
        seconds: training time so far.
        history: one row for each completed epoch.
        first_epoch: number of epochs on the data of earlier trainings, which this one continues.
        first_step: number of steps on them.
    """

    seed: int
    global_batch_size: int
    steps: int
    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float | None = None
    epochs_without_improvement: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    first_epoch: int = 0
    first_step: int = 0

    @property
    def total_steps(self) -> int:
        """Number of completed steps, those of earlier trainings included."""
        return self.first_step + (self.epoch - self.first_epoch) * self.steps + self.step

    def history_frame(self) -> pd.DataFrame:
        """The history, one row per epoch."""
        return pd.DataFrame(self.history)


def resume_run(
    run: Path, model: nn.Module, optimizer: CombinedOptimizer, preparation: Preparation, fresh: RunState
) -> RunState:
    """Reads the newest whole checkpoint into model and optimizer; every rank must call it.

    Args:
        run: folder of the run.
        model: sharded.
        optimizer: of the model.
        preparation: of the data.
        fresh: the state of the run if it started now.

    Returns:
        The position that was saved.

    Raises:
        InputError: if the run trains another model, on other data or with other steps.
    """
    folder = find_checkpoint(run, "latest")
    with reading_saved(f"the checkpoint {folder}"):
        prepared, saved = Preparation.load(folder / "preparation"), read_model_description(folder)
    check_schema(preparation.schema, prepared.schema, folder)
    prepared.expect_same_rows(preparation, "the data")
    description = json.loads(json.dumps(plugins.specification(model, without=("schema",))))
    if description != saved:
        raise InputError(f"the run {run} trains another model: {saved}; received {description}")
    with reading_saved(f"the checkpoint {folder}"):
        state = RunState(**load_training_state(folder, model, optimizer))
    for name in ("seed", "global_batch_size", "steps"):
        was, now = getattr(state, name), getattr(fresh, name)
        if was != now:
            what = "steps per epoch" if name == "steps" else name
            raise InputError(
                f"the run {run} was started with {what} {was}, now it is {now}, so it cannot continue at the "
                "exact next batch; resume it with the settings and the data it was started with"
            )
    return state
