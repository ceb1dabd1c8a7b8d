"""The folder of a run: an existing one is refused unless its run is resumed or overwritten."""

import json
import shutil
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist

from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.training.manifest import write_durably
from torchrec_ext.training.run_lock import beside, locked

_RUN_FILES = ("settings.json", "checkpoints", "history.csv", "metrics.json")
_REPLACED = "replaced"


@contextmanager
def open_run(output: Path | str, *, resume: bool = False, overwrite: bool = False) -> Iterator[Path]:
    """Opens the folder of a run for this process alone; every rank must enter it, and rank 0 does the work.

    A run that is overwritten is set aside until the new one is done. It comes back if the new one fails, or
    is killed, before its first checkpoint or ``metrics.json``; after a kill the next ``open_run`` does that.

    Args:
        output: the folder.
        resume: resume the run in the folder; begin a new one if there is none.
        overwrite: replace the run in the folder.

    Raises:
        InputError: if it exists and neither is set, if it holds something other than a run, if another
            process has opened it, or if it cannot be made.

    Example:
        >>> import tempfile
        >>> with open_run(Path(tempfile.mkdtemp(), "run")) as run:
        ...     write_json(run / "metrics.json", {"hr@10": 0.5})
    """
    run = Path(output)
    if resume and overwrite:
        raise InputError("resume and overwrite exclude each other; choose one")
    with ExitStack() as held:
        problem: list[str | None] = [None]
        if world()[0] == 0:
            try:
                _open(run, resume, overwrite, held)
            except InputError as error:
                problem = [str(error)]
            except OSError as error:
                problem = [f"output {run} cannot be created: {error}"]
        if dist.is_initialized():
            dist.broadcast_object_list(problem, src=0)
        if problem[0] is not None:
            raise InputError(problem[0])
        try:
            yield run
        except BaseException:
            if world()[0] == 0:
                settle(run)
            raise
        if world()[0] == 0:
            shutil.rmtree(beside(run, _REPLACED), ignore_errors=True)


def _open(run: Path, resume: bool, overwrite: bool, held: ExitStack) -> None:
    """Locks the folder, and makes or checks it."""
    missing = [path for path in (run, *run.parents) if not path.exists()]
    held.callback(_remove_empty, missing)
    run.parent.mkdir(parents=True, exist_ok=True)
    held.enter_context(locked(run))
    if settle(run):
        warnings.warn(
            f"a run that was to replace {run} was killed before its first checkpoint; the one before is back",
            stacklevel=2,
        )
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        if not (resume or overwrite):
            raise InputError(
                f"output {run} exists; add --overwrite to delete it (or --resume to continue it, where the "
                "recipe has that), or name another"
            )
        if not run.is_dir() or not any((run / name).exists() for name in _RUN_FILES):
            raise InputError(
                f"output {run} is not a run of this package, so it is neither resumed nor overwritten; "
                "name another"
            )
        if overwrite:
            set_aside(run)
    run.mkdir(parents=True, exist_ok=True)


def set_aside(run: Path) -> None:
    """Puts an empty folder in the place of a run, which stays beside it until :func:`open_run` ends."""
    real = run.resolve()
    real.rename(beside(run, _REPLACED))
    real.mkdir()


def settle(run: Path) -> bool:
    """Deletes the run that was set aside if the one in its place has results, or else puts it back.

    Returns:
        Whether it was put back.
    """
    replaced = beside(run, _REPLACED)
    if not replaced.exists():
        return False
    if has_results(run):
        shutil.rmtree(replaced)
        return False
    real = run.resolve()
    shutil.rmtree(real, ignore_errors=True)
    replaced.rename(real)
    return True


def has_results(run: Path) -> bool:
    """Whether a run, or one of several in its folder, has a checkpoint or ``metrics.json``."""
    return any(any(run.rglob(name)) for name in ("checkpoints/step-????????", "metrics.json"))


def _remove_empty(folders: list[Path]) -> None:
    """Removes what has stayed empty of the folders that were made."""
    for folder in folders:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def write_json(path: Path, content: Any) -> None:
    """Writes JSON on rank 0 and in one step, so that a reader never finds half of it."""
    if dist.is_initialized() and dist.get_rank() > 0:
        return
    write_durably(path, json.dumps(content, indent=2, default=str) + "\n")
