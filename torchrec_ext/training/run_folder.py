"""The folder of a run: refused if it exists, unless the run goes on or is to be overwritten."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch.distributed as dist

from torchrec_ext.errors import InputError

_OURS = ("settings.json", "checkpoints", "history.csv", "metrics.json")


def open_run(output: Path | str, *, resume: bool = False, overwrite: bool = False) -> Path:
    """Makes or checks the folder of a run; every rank must call it, and rank 0 decides.

    Args:
        output: the folder.
        resume: go on with the run that is there; where none is, a new one begins.
        overwrite: delete the run that is there.

    Raises:
        InputError: if it exists and neither was asked for, if it holds something that is no run, or if it
            cannot be made.
    """
    run = Path(output)
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; choose one")
    problem: list[str | None] = [None]
    if not dist.is_initialized() or dist.get_rank() == 0:
        try:
            problem = [_make(run, resume, overwrite)]
        except OSError as error:
            problem = [f"output {run} cannot be made: {error}"]
    if dist.is_initialized():
        dist.broadcast_object_list(problem, src=0)
    if problem[0] is not None:
        raise InputError(problem[0])
    return run


def _make(run: Path, resume: bool, overwrite: bool) -> str | None:
    """Makes the folder, or says why not."""
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        if not (resume or overwrite):
            return (
                f"output {run} exists; add --resume to go on with it, --overwrite to delete it, "
                "or name another"
            )
        if not run.is_dir() or not any((run / name).exists() for name in _OURS):
            return (
                f"output {run} holds no run of ours, so it is neither resumed nor overwritten; name another"
            )
        if overwrite:
            shutil.rmtree(run)
    run.mkdir(parents=True, exist_ok=True)
    return None


def write_json(path: Path, content: Any) -> None:
    """Writes JSON on rank 0 and in one step, so that a reader never sees half of it."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(content, indent=2, default=str) + "\n")
    new.rename(path)
