"""Prepared data: read, cleaned and split once, kept in a folder, and opened in no time."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from pydantic import TypeAdapter

from torchrec_ext.checks import expect_one_of
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.filters.clean import clean
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.sources.read import Sources, read_events
from torchrec_ext.data.split_report import PART_NAMES, SplitReport
from torchrec_ext.data.splits.as_marked import as_marked
from torchrec_ext.data.splits.at_random import by_ratio, by_user
from torchrec_ext.data.splits.by_time import by_time
from torchrec_ext.data.splits.leave_last import leave_last_n, leave_last_out
from torchrec_ext.data.splits.parts import Parts
from torchrec_ext.errors import InputError

SPLITS: dict[str, Callable[..., Parts]] = {
    split.__name__: split for split in (leave_last_out, leave_last_n, by_time, by_user, by_ratio, as_marked)
}
"""Every split into one training, validation and test part, by its name."""
Read: TypeAlias = Callable[[Path], Events]
Split: TypeAlias = Callable[[Events, Path], Parts]
VERSION = 3
REJECTED = "rejected.parquet"
"""The file of the rows that were set aside."""


def prepare(
    source: Sources,
    folder: str | Path,
    *,
    read: Mapping[str, Any] | None = None,
    clean_by: Mapping[str, Any] | None = None,
    split: str = "leave_last_out",
    split_by: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> Parts:
    """Reads, cleans and splits events once, and keeps everything in a folder that is mapped into memory.

    The folder appears when it is whole; :func:`open_prepared` opens it again. One rank prepares, all open.

    Args:
        source: what :func:`~torchrec_ext.data.read_events` reads.
        folder: which must not be there; the rows that were set aside are in its ``rejected.parquet``.
        read: further arguments of ``read_events``.
        clean_by: arguments of :func:`~torchrec_ext.data.clean`.
        split: name of the split, see ``SPLITS``.
        split_by: its arguments.
        overwrite: replaces the folder if it is there.
        progress: shows a bar.

    Returns:
        The training, validation and test part.

    Raises:
        InputError: if the folder is there, or as reading, cleaning and splitting do.

    Example:
        >>> import pandas as pd, tempfile
        >>> visits = pd.DataFrame({"user": [1] * 4, "item": list("abcd")})
        >>> place = Path(tempfile.mkdtemp(), "visits")
        >>> train, valid, test = prepare(visits, place)
        >>> [len(part) for part in open_prepared(place)]
        [2, 1, 1]
    """
    expect_one_of("split", split, tuple(SPLITS))

    def events(place: Path) -> Events:
        settings = {"rejected": place.parents[1] / REJECTED, **(read or {})}
        found = read_events(source, folder=place, progress=progress, **settings)
        return clean(found, **(clean_by or {}))

    def parts(found: Events, place: Path) -> Parts:
        return SPLITS[split](found, folder=place, **(split_by or {}))

    return keep_parts(folder, events, parts, overwrite=overwrite)


def keep_parts(folder: str | Path, read: Read, split: Split, *, overwrite: bool = False) -> Parts:
    """What :func:`prepare` does, with reading and splitting of one's own.

    ``read`` may keep columns in its folder, which is removed later; ``split`` keeps its log in its own.
    """
    target = Path(folder).expanduser()
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; open it with open_prepared, or say overwrite=True")
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        write_version(partial, read, split)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    return open_prepared(target)


def write_version(folder: Path, read: Read, split: Split) -> None:
    """Writes the next version of a folder's data, see :func:`keep_parts`, and then removes the one before."""
    before = read_manifest(folder)["data"] if is_prepared(folder) else 0
    data = folder / f"version-{before + 1}"
    shutil.rmtree(data, ignore_errors=True)  # what an interrupted run left
    raw = data / "raw"
    raw.mkdir(parents=True)
    save_events(read(raw), data / "events")
    shutil.rmtree(raw)
    parts = split(open_events(data / "events"), data)
    parts[0].preparation.save(data / "preparation")
    (data / "parts").mkdir()
    for part in parts:
        for kind in ("rows", "history_only"):
            np.save(data / "parts" / f"{part.name}.{kind}.npy", getattr(part, kind))
    sizes = {str(p.relative_to(folder)): p.stat().st_size for p in sorted(data.rglob("*")) if p.is_file()}
    report = dataclasses.asdict(parts[0].report)
    manifest = {"version": VERSION, "data": before + 1, "report": report, "files": sizes}
    new = folder / "manifest.json.new"
    new.write_text(json.dumps(manifest, indent=2))
    new.replace(folder / "manifest.json")  # in one step
    shutil.rmtree(folder / f"version-{before}", ignore_errors=True)


def open_prepared(folder: str | Path) -> Parts:
    """The parts that :func:`prepare` left in a folder; columns are read from it as they are needed.

    Raises:
        InputError: if the folder holds no prepared data, is of another release, or lacks a part of a file.
    """
    folder = Path(folder).expanduser()
    manifest = read_manifest(folder)
    data = folder / f"version-{manifest['data']}"
    report = TypeAdapter(SplitReport).validate_python(manifest["report"])
    preparation, log = Preparation.load(data / "preparation"), EventLog.open(data / "log")
    events = open_events(data / "events")
    events = dataclasses.replace(events, source=dataclasses.replace(events.source, prepared=str(folder)))

    def part(name: str) -> Dataset:
        paths = (data / "parts" / f"{name}.{kind}.npy" for kind in ("rows", "history_only"))
        rows, history_only = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths)
        part_log = EventLog.open(data / "train") if name == PART_NAMES[0] else None
        return Dataset(preparation, log, rows, history_only, name, report, events, part_log)

    train, valid, test = map(part, PART_NAMES)
    return train, valid, test


def is_prepared(folder: str | Path) -> bool:
    """Whether a folder holds prepared data."""
    return (Path(folder).expanduser() / "manifest.json").is_file()


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of prepared data, whose files are there and whole."""
    if not is_prepared(folder):
        raise InputError(f"{folder} holds no prepared data: there is no manifest.json; make it with prepare")
    try:
        found = json.loads((folder / "manifest.json").read_text())
        version, files = found["version"], found["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder}/manifest.json is cut short ({error}); prepare the data again") from error
    if version != VERSION:
        raise InputError(f"{folder} was prepared by another release (version {version}); prepare it again")
    for name, size in files.items():
        path = folder / name
        there = path.stat().st_size if path.is_file() else None
        if there != size:
            state = "is not there" if there is None else f"has {there:,} bytes of {size:,}"
            raise InputError(f"{path} {state}; bring it back, or prepare the data again")
    return found
