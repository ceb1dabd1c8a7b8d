"""The manifest of a checkpoint: size and checksum of each file, compared when it is opened; durable files."""

import functools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed as dist
from safetensors import SafetensorError

from torchrec_ext.data.sources.source_file import one_line, sha256_of
from torchrec_ext.distributed import world
from torchrec_ext.errors import InputError

NAME = "manifest.json"
Entry = Mapping[str, Any]


def entries(folder: Path, files: Iterable[Path]) -> dict[str, Entry]:
    """Size and SHA-256 of files, by their names within a folder."""
    return {
        str(p.relative_to(folder)): {"bytes": p.stat().st_size, "sha256": sha256_of(p)} for p in sorted(files)
    }


def write_manifest(folder: Path) -> None:
    """Writes the manifest of a checkpoint and syncs the folder to the disk; every rank must call it.

    Each rank reads the tensors that it wrote, rank 0 all other files.
    """
    rank, size = world()
    found: list[Any] = [None] * size
    dist.all_gather_object(found, entries(folder, folder.glob(f"__{rank}_*.distcp")))
    if rank == 0:
        tensors = {name: entry for one in found for name, entry in one.items()}
        others = [p for p in folder.rglob("*") if p.is_file() and str(p.relative_to(folder)) not in tensors]
        for file in others:  # torch.distributed.checkpoint has synced the tensors
            sync(file)
        write_durably(folder / NAME, json.dumps({**tensors, **entries(folder, others)}, indent=2) + "\n")
        for inner in folder.rglob("*"):
            if inner.is_dir():
                sync(inner)


def find_damage(folder: Path) -> str | None:
    """What is wrong with the files of a checkpoint, the same on every rank; every rank must call it.

    The ranks of an open process group share the reading. A checkpoint of an older release has no checksums:
    only the sizes of its files are compared.

    Args:
        folder: of the checkpoint.

    Returns:
        One line that names the file, or None if the checkpoint is whole.
    """
    rank, size = world()
    damage: list[str | None] = [_damage(folder, rank, size)]
    if size > 1:
        damage *= size
        dist.all_gather_object(damage, damage[0])
    return next(filter(None, damage), None)


def _damage(folder: Path, rank: int, size: int) -> str | None:
    """What is wrong with this rank's share of the files."""
    manifest = folder / NAME
    if not manifest.is_file():
        return f"the checkpoint {folder} has no {NAME}"
    try:
        content = json.loads(manifest.read_text())
        wanted = [
            (name, entry, None) if isinstance(entry, int) else (name, entry["bytes"], entry["sha256"])
            for name, entry in content.items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        return f"{manifest} is cut short or altered ({error})"
    except OSError as error:
        return f"{manifest} cannot be read: {error.strerror}"
    if "model.json" not in content:
        return f"{manifest} is cut short or altered (it lists no model.json)"
    for name, written, sha256 in sorted(wanted)[rank::size]:
        try:
            file = folder / name
            found = file.stat().st_size if file.is_file() else 0
            if found != written:
                sizes = f"{name!r} has {found:,} bytes, {written:,} were written"
                return f"the checkpoint {folder} is cut short: {sizes}"
            if sha256 is not None and _read_once(file, found, file.stat().st_ctime_ns) != sha256:
                return f"the checkpoint {folder} is damaged: {name!r} is not what was written"
        except (OSError, ValueError, TypeError) as error:  # a disk that fails, or a name with a NUL
            return f"the checkpoint {folder} is damaged: {name!r} cannot be read ({error})"
    return None


_UNREADABLE = (
    ValueError, LookupError, TypeError, AttributeError, OSError, RecursionError, SafetensorError,
)  # fmt: skip


@contextmanager
def reading_saved(what: str) -> Iterator[None]:
    """Turns what goes wrong with files whose checksums are right, or that have none, into one line."""
    try:
        yield
    except InputError:
        raise
    except _UNREADABLE as error:
        reason = one_line(f"{type(error).__name__}: {error}", 120)
        raise InputError(f"{what} cannot be read ({reason}); use another one") from error


@functools.lru_cache(maxsize=1 << 14)
def _read_once(file: Path, size: int, changed: int) -> str:
    """SHA-256 of a file, which is read again only if it has changed."""
    return sha256_of(file)


def write_durably(path: Path, text: str) -> None:
    """Replaces a file in one step that survives a power cut."""
    new = path.with_name(path.name + ".new")
    new.write_text(text)
    sync(new)
    new.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """Waits until a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
