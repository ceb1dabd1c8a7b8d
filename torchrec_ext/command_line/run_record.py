"""RunRecord: what a checkpoint records of its data, and the same or newer data read in the same way."""

import dataclasses
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchrec_ext.data import SPLITS, Dataset, Events, Preparation, open_prepared, read_events
from torchrec_ext.data.content import find_change
from torchrec_ext.data.filters.repeat_cleaning import repeat_cleaning
from torchrec_ext.data.prepared import is_prepared
from torchrec_ext.data.recorded_calls import arguments_of
from torchrec_ext.data.sources.find_declaration import known_sets
from torchrec_ext.errors import InputError
from torchrec_ext.training import find_checkpoint
from torchrec_ext.training.manifest import reading_saved

log = logging.getLogger(__name__)

Parts = tuple[Dataset, Dataset, Dataset]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """What a checkpoint records of the data.

    Args:
        path: the folder as the user named it.
        record: see :func:`~torchrec_ext.training.data_record`.
        preparation: how ids became rows.
        folder: of the run.
    """

    path: Path
    record: Mapping[str, Any]
    preparation: Preparation
    folder: Path

    @classmethod
    def open(cls, path: Path | str) -> "RunRecord":
        """The record of a run's best checkpoint, or of the one that ``path`` names."""
        folder = find_checkpoint(path)
        with reading_saved(f"the checkpoint {folder}"):
            settings = json.loads((folder / "training.json").read_text())
            preparation = Preparation.load(folder / "preparation")
        if "data" not in settings:
            raise InputError(f"{path} was trained with an older release, which recorded no data; train again")
        if "calls" not in settings["data"]:
            raise InputError(
                f"{path} went on from another run with events of a script, which recorded only "
                f"{', '.join(settings['data']) or 'nothing'} of them; use it in your own script"
            )
        return cls(Path(path), settings["data"], preparation, folder.parents[1])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of ``read_events``; that of a table in memory is not among them."""
        calls = [call for call in self.record["calls"] if call["call"] == "read_events"]
        arguments = arguments_of(calls[0], read_events) if calls else {}
        for entity in ("user", "item"):
            if f"{entity}s" not in arguments:  # its features are in the checkpoint
                arguments[f"{entity}_features"] = None
        return arguments

    @property
    def content(self) -> dict[str, Any]:
        """The content of the tables that can be read again."""
        arguments = self.arguments
        content = self.record["content"]
        if "source" not in arguments:
            return {name: table for name, table in content.items() if arguments.get(name, name == "events")}
        return {name: table for name, table in content.items() if name == "events" or name in arguments}

    def open_prepared(self) -> Parts | None:
        """The parts in the folder of prepared data that the run was trained on, if it is still there."""
        folder = self.record["prepared"]
        if folder is None or not is_prepared(folder):
            return None
        parts = open_prepared(folder)
        if json.loads(json.dumps(parts[0].table.source.content)) != self.record["content"]:
            raise InputError(
                f"{folder} was prepared again, from other data than {self.path} was trained on; name "
                "the data with --data, or train again"
            )
        return parts

    def read(self, data: str | None, data_dir: str | None) -> Events:
        """The events before cleaning."""
        arguments = self.arguments
        if data is not None:
            source, arguments["source"] = arguments.get("source"), data
            if source is None or Path(source).suffix != Path(data).suffix:
                arguments["format"] = None
        if "source" not in arguments:
            raise InputError(
                f"{self.path} was trained on a table in memory ({self.record['name']}), which cannot be read "
                "again; name a file of its columns with --data"
            )
        if data_dir is not None:
            arguments = _moved(arguments, Path(data_dir), keep=data)
        for name in ("source", "users", "items"):
            path = arguments.get(name)
            if (
                path is not None
                and path != data
                and not _is_named(path)
                and not Path(path).expanduser().exists()
            ):
                raise InputError(
                    f"no file {path}, which {self.path} was trained on; name its folder with --data-dir, or "
                    "the file with --data"
                )
        return read_events(**arguments)

    def clean(self, events: Events, counts: bool = True) -> Events:
        """The events after the cleaning of the training.

        Args:
            events: as read.
            counts: whether users and items with few events are removed.
        """
        return repeat_cleaning(events, self.record["calls"], counts)

    def split(self, events: Events) -> Parts:
        """The events split as for the training, with the rows and features that ids had there."""
        split = self.record["split"]
        if split["call"] not in SPLITS:
            raise InputError(f"{self.path} records the split {split['call']!r}, which this release lacks")
        function = SPLITS[split["call"]]
        parts = function(events, **arguments_of(split, function))
        same: dict[str, Any] = {
            "preparation": self.preparation,
            "log": self.preparation.log(events),
            "part_log": None,
        }
        train, valid, test = (dataclasses.replace(part, **same) for part in parts)
        return train, valid, test

    def count_added(self, raw: Events, given: bool = False) -> int:
        """How many events were added behind those of the training.

        Args:
            raw: the events as read.
            given: whether the user named them with ``--data``.

        Raises:
            InputError: if those of the training have changed, or are not there.
        """
        change = find_change(raw, self.content) if self.content else "nothing is recorded of them"
        if given and change is not None:
            raise InputError(
                f"{raw.source.name} does not begin with the events that {self.path} was trained on "
                f"({change}); name a file of these, with the newer ones after them"
            )
        old, new = self.record["files"], raw.source.files
        files = [name for name in {**old, **new} if old.get(name) != new.get(name)]
        declarations = [name for name in files if name.endswith(".toml")]
        if change is None and declarations and not given:
            change, files = "it declares the data", declarations
        if change is not None:
            name = files[0] if files else raw.source.name
            raise InputError(
                f"{name} has changed since {self.path} was trained: {change}; bring the old file back, or "
                "train again"
            )
        added = len(raw) - self.content["events"]["rows"]
        if added:
            log.info(
                "%s has %s events that were added after %s was trained",
                raw.source.name,
                f"{added:,}",
                self.path,
            )
        return added

    def expect_same_number(self, events: Events, remedy: str) -> None:
        """Refuses events that were changed between reading and training."""
        if len(events) != self.record["events"]:
            raise InputError(
                f"{self.path} was trained on {self.record['events']:,} events, but reading and cleaning "
                f"{events.source.name} again gives {len(events):,}: they were changed after that; {remedy}"
            )


def _moved(arguments: dict[str, Any], folder: Path, keep: str | None) -> dict[str, Any]:
    """The same data in another folder: named data sets by their name, files by theirs."""
    places: dict[str, Any] = {"data_dir": str(folder)}
    for name in ("source", "users", "items"):
        path = arguments.get(name)
        if path is not None and path != keep and not _is_named(path):
            places[name] = str(folder / Path(path).name)
            if not Path(places[name]).exists():
                raise InputError(f"--data-dir {folder} has no {Path(path).name}; name the folder it is in")
    return {**arguments, **places}


def _is_named(path: str) -> bool:
    return path in known_sets()
