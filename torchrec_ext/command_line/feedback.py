"""What a run has learnt from the event log of a service, and the events themselves."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec_ext.command_line.run_record import RunRecord
    from torchrec_ext.data import Events

FOLDER = "feedback"
_MARK = "place among the new events"


@dataclass(frozen=True)
class Feedback:
    """How far a run has got in the event log; a checkpoint records it with what it records of its data.

    Args:
        position: of the newest event that was learnt; 0 before the first.
        fingerprint: of that event, which identifies the log.
        origin: name of the run that the first one was learnt with.
        parts: folders of the learnt events, in the run's folder ``feedback``.
        tested: figures of the events in the order they were predicted, before they were learnt.
    """

    position: int = 0
    fingerprint: str = ""
    origin: str = ""
    parts: tuple[str, ...] = ()
    tested: tuple[dict[str, float], ...] = ()

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Feedback | None:
        """What a run records of its data holds; None for a run that has learnt from no log."""
        found = record.get("feedback")
        if found is None:
            return None
        if altered := [name for name in found["parts"] if not re.fullmatch(r"\d{12,}-\d{12,}", name)]:
            raise InputError(
                f"the run records the learnt events {altered[0]!r}, which no run does; it was altered"
            )
        return cls(**{**found, "parts": tuple(found["parts"]), "tested": tuple(found["tested"])})

    def beside(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record of a run's data with this one."""
        return {**record, "feedback": asdict(self)}


def find_feedback(run: Path, output: Path) -> tuple[Path, Feedback]:
    """The run to learn on with, and how far it has got in the log; every rank must call it.

    That is the output if it has a checkpoint, else the run, whose learnt events are copied.

    Raises:
        InputError: if the output holds another run.
    """
    from torchrec_ext.distributed import barrier, world
    from torchrec_ext.training.find_checkpoint import find_checkpoint, has_checkpoints

    started = has_checkpoints(output)
    source = output if started else run
    folder = find_checkpoint(source)
    feedback = Feedback.of(json.loads((folder / "training.json").read_text()).get("data", {}))
    name = run.resolve().name
    if source.resolve() != run.resolve() and (feedback is None or feedback.origin != name):
        origin = "another run" if feedback is None else f"what was learnt with --run {feedback.origin}"
        raise InputError(f"--output {output} holds {origin}; name another folder")
    if source.resolve() != output.resolve():
        if feedback is not None and world()[0] == 0:
            _copy_parts(feedback.parts, folder.parents[1], output)
        barrier()
        feedback = replace(feedback or Feedback(), origin=name)
    return source, feedback or Feedback(origin=name)


def save_part(events: Events, run: Path, first: int, last: int) -> str:
    """Keeps the events from one position of the log to another in a run, in one step; returns their name."""
    from torchrec_ext.data.event_files import save_events

    name = f"{first:012d}-{last:012d}"
    folder = run / FOLDER / name
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed before its checkpoint
    save_events(events, partial)
    partial.rename(folder)
    return name


def _copy_parts(parts: tuple[str, ...], source: Path, run: Path) -> None:
    """Copies learnt events into a run that goes on in another folder."""
    for name in parts:
        if not (run / FOLDER / name).is_dir():
            partial = run / FOLDER / f"{name}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            shutil.copytree(source / FOLDER / name, partial)
            partial.rename(run / FOLDER / name)


def with_feedback(events: Events, run: Path, record: Mapping[str, Any]) -> Events:
    """The events of a run, and behind them those that it has learnt from a log."""
    from torchrec_ext.data import join_events
    from torchrec_ext.data.event_files import open_events

    feedback = Feedback.of(record)
    if feedback is None or not feedback.parts:
        return events
    folders = [run / FOLDER / name for name in feedback.parts]
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not there, whose events the run has learnt from; bring it back")
    learnt = reduce(lambda a, b: join_events(a, b, repeats=True), map(open_events, folders))
    return join_events(events, learnt, repeats=True)


def clean_new(new: Events, known: Events, run: RunRecord) -> Events:
    """The later events that the cleaning of the run's data leaves, beside those known before.

    Limits on numbers of events decide what is learnt first, so they do not count here; and an event without
    a rating passes the filters on ratings.
    """
    import numpy as np
    import pyarrow as pa

    from torchrec_ext.data import join_events

    names = {call["call"] for call in run.record["calls"]}
    if "sessions" in names:
        raise InputError(
            f"{run.path} was trained on sessions, which the events of a service are not cut into; train a "
            "run on users"
        )
    if "clean" not in names or not len(new):
        return new
    ratings = known.numbers("rating")
    table = new.table
    if ratings is not None:
        highest = pa.scalar(float(np.nanmax(ratings)), pa.float64())
        place = table.column_names.index("rating")
        table = table.set_column(place, "rating", table["rating"].cast(pa.float64()).fill_null(highest))
    both = join_events(known, replace(new, table=table), repeats=True)
    marks = np.append(np.full(len(known), -1.0), np.arange(len(new)))
    marked = replace(both, table=both.table.append_column(_MARK, pa.array(marks)))
    left = run.clean(marked, counts=False).numbers(_MARK)
    assert left is not None
    return new.take(np.isin(np.arange(len(new)), left[left >= 0].astype(np.int64)))
