"""DataSettings: which events a recipe reads and how it splits them."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from torchrec_ext.command_line.parse import parse_pairs
from torchrec_ext.data import Dataset, Events, by_ratio, by_time, by_user, clean, leave_last_out, read_events
from torchrec_ext.errors import InputError


@dataclass(frozen=True)
class DataSettings:
    """Which events are read and how they are split."""

    data: str = "ml-100k"
    """A known name (ml-100k, ml-1m, ml-10m, ml-20m, ml-25m), a folder in MovieLens' layout, or a CSV, TSV or Parquet file."""
    data_dir: str | None = None
    """Folder that holds the data sets by name; else TORCHREC_EXT_DATA, else a cache that is filled from GroupLens."""
    format: str | None = None
    """Format of the file, where its suffix does not tell."""
    columns: tuple[str, ...] = ()
    """Names of the file's columns: user=uid item=sku timestamp=t rating=stars."""
    users: str | None = None
    """File of the users' side features."""
    items: str | None = None
    """File of the items' side features."""
    user_features: tuple[str, ...] | None = None
    """Columns of the users' file that the model may use."""
    item_features: tuple[str, ...] | None = None
    """Columns of the items' file that the model may use."""
    context: tuple[str, ...] = ()
    """Columns of the events that describe the event itself."""
    min_user_events: int = 0
    """Leave out users with fewer events."""
    min_item_events: int = 0
    """Leave out items with fewer events."""
    split: Literal["leave_last_out", "by_time", "by_user", "by_ratio"] = "leave_last_out"
    """How train, validation and test part are made."""
    valid: float = 0.05
    """Share of the validation part, for by_user and by_ratio."""
    test: float = 0.1
    """Share of the test part, for by_user and by_ratio."""
    valid_from: float | None = None
    """First unix second of the validation part, for by_time."""
    test_from: float | None = None
    """First unix second of the test part, for by_time."""
    split_seed: int = 0
    """Of by_user and by_ratio."""

    def events(self) -> Events:
        """Reads and cleans the events."""
        events = read_events(
            self.data, format=self.format, columns=parse_pairs(self.columns, "columns") or None, users=self.users,
            items=self.items, user_features=self.user_features, item_features=self.item_features,
            context=self.context, data_dir=self.data_dir,
        )  # fmt: skip
        return clean(events, min_user_events=self.min_user_events, min_item_events=self.min_item_events)

    def parts(self, events: Events) -> tuple[Dataset, Dataset, Dataset]:
        """Training, validation and test part."""
        if self.split == "leave_last_out":
            return leave_last_out(events)
        if self.split == "by_time":
            if self.valid_from is None or self.test_from is None:
                raise InputError("--split by_time needs --valid-from and --test-from in unix seconds")
            return by_time(events, valid_from=self.valid_from, test_from=self.test_from)
        split = by_user if self.split == "by_user" else by_ratio
        return split(events, valid=self.valid, test=self.test, seed=self.split_seed)


Source = tyro.conf.OmitArgPrefixes[DataSettings]
"""DataSettings as a field of a recipe's settings, its own settings flat."""


def data_record(events: Events) -> dict[str, Any]:
    """What a run writes down of its data: name, checksum, order of simultaneous events, what was removed."""
    return {**dataclasses.asdict(events.source), "ordering": events.source.ordering, "events": len(events)}


def read_run_settings(checkpoint: Path | str, data_dir: str | None = None) -> tuple[DataSettings, Events, dict[str, Any]]:
    """The data a run was trained on, read again, and the run's settings.

    Args:
        checkpoint: folder of the run, or of one of its checkpoints.
        data_dir: where the data sets are now; None where they were.

    Raises:
        InputError: if there are no settings, or the data has changed since.
    """
    folder = Path(checkpoint)
    places = [folder, *list(folder.parents)[:2]]
    run = next((p for p in places if (p / "settings.json").is_file()), None)
    if run is None:
        raise InputError(f"{checkpoint} holds no run: there is no settings.json; name the --output of a training recipe")
    settings = json.loads((run / "settings.json").read_text())
    source = {k: tuple(v) if isinstance(v, list) else v for k, v in settings["source"].items()}
    data = DataSettings(**(source | ({"data_dir": data_dir} if data_dir else {})))
    events = data.events()
    if events.source.sha256 != settings["data"]["sha256"]:
        raise InputError(
            f"the events of {data.data} have changed since {run} was trained (checksum {events.source.sha256[:12]}, "
            f"was {settings['data']['sha256'][:12]}); bring the old file back, or train again"
        )
    return data, events, settings
