"""The settings that a training recipe writes into its run, and what must stay the same to resume it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchrec_ext.command_line.data_settings import DataSettings
from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec_ext.data import Events

# the place of the data and the share of bad rows may change, the data may not
_FREE = ("data", "data_dir", "users", "items", "max_bad_share", "rejected", "prepared")


def load_settings(path: Path) -> dict[str, Any]:
    """The settings of a run; InputError if the file is cut short or not from a training recipe."""
    try:
        settings = json.loads(path.read_text())
    except ValueError as error:
        raise InputError(
            f"{path} is cut short or not JSON ({error}); bring it back, or train again"
        ) from error
    if not isinstance(settings, dict) or not {"source", "data", "recipe"} <= settings.keys():
        raise InputError(
            f"{path} was not written by train_retrieval.py or train_ranking.py; name the --output of one"
        )
    return settings


def expect_same_data(events: Events, settings: dict[str, Any], run: Path) -> None:
    """Refuses events of other files than those of the run, naming the file."""
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
    """Refuses to resume a run whose data was cleaned or split in another way, naming the setting."""
    now, default = (json.loads(json.dumps(dataclasses.asdict(s))) for s in (source, DataSettings()))
    for name, value in now.items():
        trained = settings["source"].get(name, default[name])  # an older run has fewer settings
        if name not in _FREE and value != trained:
            raise InputError(
                f"--{name.replace('_', '-')} is {value}, but the run {run} began with {trained}; "
                "resume with the settings it began with, or name another --output"
            )
