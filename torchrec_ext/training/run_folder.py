"""The folder of a run: an existing one is refused unless its run is resumed or overwritten."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist

from torchrec_ext.errors import InputError
from torchrec_ext.training.manifest import write_durably

_RUN_FILES = ("settings.json", "checkpoints", "history.csv", "metrics.json")


def open_run(output: Path | str, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Makes or checks the folder of a run; every rank must call it, and rank 0 does the work.

    Args:
        output: the folder.
        resume: resume the run in the folder; begin a new one if there is none.
        overwrite: delete the run in the folder.

    Raises:
        InputError: if it exists and neither is set, if it holds something other than a run, or if it cannot
            be made.
    """
    run = Path(output)
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; choose one")
    problem: list[str | None] = [None]
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            problem = [_make(run, resume, overwrite)]
        except OSError as error:
            problem = [f"output {run} cannot be created: {error}"]
    if dist.is_initialized():
        dist.broadcast_object_list(problem, src=0)
    if problem[0] is not None:
        raise InputError(problem[0])
    return run


def _make(run: Path, resume: bool, overwrite: bool) -> str | None:
    """Makes the folder; returns what is wrong if it cannot."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        if not (resume or overwrite):
            return (
                f"output {run} exists; add --overwrite to delete it (or --resume to continue it, where the "
                "recipe has that), or name another"
            )
        if not run.is_dir() or not any((run / name).exists() for name in _RUN_FILES):
            return (
                f"output {run} is not a run of this package, so it is neither resumed nor overwritten; "
                "name another"
            )
        if overwrite:
            shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    return None


def write_json(path: Path, content: Any) -> None:
    """Writes JSON on rank 0 and in one step, so that a reader never finds half of it."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    write_durably(path, json.dumps(content, indent=2, default=str) + "\n")
