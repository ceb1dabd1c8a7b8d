"""find_checkpoint(): the checkpoint that a path means, or the newest whole one of the run."""

import functools
import json
import logging
import re
import zlib
from contextlib import suppress
from pathlib import Path

import torch.distributed as dist

from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError
from torchrec_ext.training.manifest import NAME, find_damage, write_durably

log = logging.getLogger(__name__)

POINTERS = ("best", "latest")


def find_checkpoint(path: Path | str, *names: str) -> Path:
    """Finds the checkpoint of a path and checks that it is whole; every rank must call it.

    Where the checkpoint that a run points to is missing or damaged, the newest whole one takes its place,
    with a warning on rank 0.

    Args:
        path: folder of a checkpoint or of a run.
        names: pointers to try in a run; by default ``best``, then ``latest``.

    Raises:
        InputError: if there is none, or if none is whole; or if ``path`` is a checkpoint that is not.
    """
    path = Path(path)
    problems: list[str] = []
    for folder, problem in _from_rank_0(path, names or POINTERS):
        damage = problem or find_damage(folder)
        if damage is None:
            if problems and world()[0] == 0:
                _warn_once(f"{'; '.join(problems)}; {folder} is used in its place")
            return folder
        problems.append(damage)
    if path.is_dir() and problems:
        remedy = "copy it again, or use another checkpoint of the run"
        raise InputError(f"{'; '.join(problems)}; {remedy}")
    problem = "does not exist"
    if path.exists():
        problem = "has no finished checkpoint" if path.is_dir() else "is a file"
    raise InputError(f"{path} {problem}; pass the folder of a run or of one of its checkpoints")


def checkpoints_of(run: Path) -> list[Path]:
    """The complete checkpoints of a run, whether whole or damaged, the newest first."""
    found = [p for p in (run / "checkpoints").glob("step-*") if re.fullmatch(r"step-\d{8,}", p.name)]
    return sorted(found, key=lambda folder: int(folder.name.removeprefix("step-")), reverse=True)


def has_checkpoints(run: Path) -> bool:
    """Whether there is a checkpoint, or was one, so that training must not begin again over it."""
    return bool(checkpoints_of(run)) or any((run / "checkpoints" / name).is_file() for name in POINTERS)


def point(run: Path, name: str, folder: Path) -> None:
    """Points ``run/checkpoints/<name>`` to a checkpoint, in one step that survives a power cut."""
    write_durably(run / "checkpoints" / name, f"{folder.name} {zlib.crc32(folder.name.encode()):08x}\n")


def pointed_to(run: Path, name: str) -> Path | None:
    """The checkpoint that a pointer names; None if there is no pointer, or no such checkpoint."""
    pointer = run / "checkpoints" / name
    if not pointer.is_file():
        return None
    named, _, checksum = pointer.read_bytes().decode(errors="replace").strip().partition(" ")
    if checksum not in ("", f"{zlib.crc32(named.encode()):08x}"):  # an older release wrote none
        return None
    return next((found for found in checkpoints_of(run) if found.name == named), None)


def _from_rank_0(path: Path, names: tuple[str, ...]) -> list[tuple[Path, str | None]]:
    """The checkpoints to try, in this order, as rank 0 sees them; with what is wrong with a pointer."""
    found = [_candidates(path, names)]
    if world()[1] > 1:
        dist.broadcast_object_list(found, src=0)
    return found[0]


def _candidates(path: Path, names: tuple[str, ...]) -> list[tuple[Path, str | None]]:
    all_found = checkpoints_of(path)
    if not all_found:
        return [(path, None)] if (path / NAME).is_file() else []
    found: list[tuple[Path, str | None]] = []
    for name in names:
        pointer = path / "checkpoints" / name
        if folder := pointed_to(path, name):
            found.append((folder, None))
        elif pointer.is_file():
            found.append((pointer, f"{pointer} names no checkpoint of the run"))
        elif name == "latest" or _ends_an_epoch(all_found):
            found.append((pointer, f"{pointer} is missing"))
    return list(dict.fromkeys([*found, *((folder, None) for folder in all_found)]))


def _ends_an_epoch(checkpoints: list[Path]) -> bool:
    """Whether one of them was written after an epoch, of which one is always the best."""
    for folder in checkpoints:
        with suppress(OSError, ValueError, KeyError, TypeError):  # of a damaged one, which another replaces
            if json.loads((folder / "position.json").read_bytes())["epoch"] > 0:
                return True
    return False


@functools.cache
def _warn_once(text: str) -> None:
    log.warning(text)
