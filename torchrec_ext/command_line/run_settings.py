"""What a training run writes down of itself, and the data it was trained on, read again."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from torchrec_ext.command_line.data_settings import DataSettings
from torchrec_ext.data import Events
from torchrec_ext.data.reading.declared_set import names_of_sets
from torchrec_ext.data.reading.named import NAMED
from torchrec_ext.errors import InputError

# where the data lies may change, and how much of it may be bad; what it is may not
_FREE = ("data", "data_dir", "users", "items", "max_bad_share", "rejected", "prepared")


def data_record(events: Events) -> dict[str, Any]:
    """What a run writes down of its data: name, checksums, order of simultaneous events, what was removed."""
    return {**dataclasses.asdict(events.source), "ordering": events.source.ordering, "events": len(events)}


def read_run_settings(
    checkpoint: Path | str, data_dir: str | None = None
) -> tuple[DataSettings, Events, dict[str, Any]]:
    """The data a run was trained on, read again, and the run's settings.

    Args:
        checkpoint: folder of the run, or of one of its checkpoints.
        data_dir: the folder where the data lies now; None where it was.

    Raises:
        InputError: if there are no settings, or the data has changed since.
    """
    folder = Path(checkpoint).resolve()
    run = next((p for p in (folder, *folder.parents[:2]) if (p / "settings.json").is_file()), None)
    if run is None:
        raise InputError(
            f"{checkpoint} holds no run: there is no settings.json; name the --output of a training recipe"
        )
    settings = load_settings(run / "settings.json")
    source: dict[str, Any] = {
        k: tuple(v) if isinstance(v, list) else v for k, v in settings["source"].items()
    }
    try:
        data = DataSettings(**source)
    except TypeError as error:
        raise InputError(f"{run / 'settings.json'} is of another release ({error}); train again") from error
    if data_dir is not None:
        data = _moved(data, Path(data_dir))
    data = dataclasses.replace(data, rejected=None)  # which training has written
    events = data.events()
    expect_same_data(events, settings, run)
    return data, events, settings


def load_settings(path: Path) -> dict[str, Any]:
    """The settings of a run; InputError if they are cut short or are not those of a training recipe."""
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path} is cut short or no JSON ({error}); train again, or bring it back"
        ) from error
    if not isinstance(settings, dict) or not {"source", "data", "recipe"} <= settings.keys():
        raise InputError(
            f"{path} is not of a run of train_retrieval.py or train_ranking.py; name the --output of one"
        )
    return settings


def expect_same_data(events: Events, settings: dict[str, Any], run: Path) -> None:
    """Refuses events of other files than the run was trained on, naming the file."""
    for name, checksum in (events.source.files or {events.source.name: events.source.sha256}).items():
        trained = (settings["data"]["files"] or {settings["data"]["name"]: settings["data"]["sha256"]}).get(
            name
        )
        if trained != checksum:
            raise InputError(
                f"{name} has changed since {run} was trained (SHA-256 {checksum[:12]}, was "
                f"{trained[:12] if trained else 'not there'}); bring the old file back, or train again"
            )


def expect_same_source(source: DataSettings, settings: dict[str, Any], run: Path) -> None:
    """Refuses to go on with a run whose data was cleaned or split in another way, naming the setting."""
    now, default = (json.loads(json.dumps(dataclasses.asdict(s))) for s in (source, DataSettings()))
    for name, value in now.items():
        trained = settings["source"].get(name, default[name])  # an older run does not know every setting
        if name not in _FREE and value != trained:
            raise InputError(
                f"--{name.replace('_', '-')} is {value}, but the run {run} began with {trained}; "
                "resume with the settings it began with, or name another --output"
            )


def _moved(data: DataSettings, folder: Path) -> DataSettings:
    """The same data in another folder: named data sets by their name, files by theirs."""
    places: dict[str, Any] = {"data_dir": str(folder)}
    for field in ("data", "users", "items"):
        path = getattr(data, field)
        if path is not None and path not in (*NAMED, *names_of_sets()):
            places[field] = str(folder / Path(path).name)
            if not Path(places[field]).exists():
                raise InputError(f"--data-dir {folder} has no {Path(path).name}; name the folder it is in")
    return dataclasses.replace(data, **places)
