"""Data that a recipe keeps in a folder: made at first use, opened from then on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torchrec_ext.data import Dataset, Events
from torchrec_ext.data.prepared import is_prepared, keep_parts, open_prepared
from torchrec_ext.distributed import barrier, world
from torchrec_ext.errors import InputError

Parts = tuple[Dataset, Dataset, Dataset]


def prepared_parts(
    folder: Path,
    settings: dict[str, Any],
    read: Callable[[Path], Events],
    split: Callable[[Events, Path], Parts],
) -> Parts:
    """The parts that a folder holds; rank 0 makes them if it holds none, and the other ranks wait.

    They wait no longer than the time-out of the process group: prepare large data with one process first.

    Args:
        folder: on a file system that every rank sees.
        settings: what the parts depend on, plain JSON values, which are kept beside them.
        read: returns the events and keeps their columns in the folder that it receives.
        split: returns the parts and keeps their log in the folder that it receives.

    Raises:
        InputError: if the folder was made with other settings.
    """

    def split_and_save_settings(events: Events, place: Path) -> Parts:
        (place.parent / "settings.json").write_text(json.dumps(settings, indent=2))
        return split(events, place)

    if world()[0] == 0 and not is_prepared(folder):
        try:
            keep_parts(folder, read, split_and_save_settings)
        except InputError:
            barrier()  # the other ranks find nothing to open and fail too
            raise
    barrier()
    parts = open_prepared(folder)
    kept = folder / "settings.json"  # missing where a script prepared the data
    before = json.loads(kept.read_text()) if kept.is_file() else {}
    for name, value in json.loads(json.dumps(settings)).items():
        # the data chooses the default split, which the settings of a run then name
        chosen = name == "split" and None in (value, before.get(name))
        if name in before and before[name] != value and not chosen:
            raise InputError(
                f"--{name.replace('_', '-')} is {value}, but {folder} was prepared with {before[name]}; name "
                "another --prepared, or remove it to prepare the data again"
            )
    return parts
