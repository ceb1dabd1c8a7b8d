"""The data of a run, read again as the run's checkpoint records it, or newer data read in the same way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec_ext.command_line.newer_events import Newer
    from torchrec_ext.command_line.run_record import Parts, RunRecord
    from torchrec_ext.data import Events


def read_run_data(checkpoint: Path | str, data: str | None = None, data_dir: str | None = None) -> Events:
    """The events of a run as they are now, or others in their place; for histories and seen items.

    Unchanged events are read and cleaned as for the training. Where rows were added, or other events are
    named, users and items with few events stay: those limits decide what is learnt, not what a user has done.
    Events that the run has learnt from the log of a service stand behind them.

    Args:
        checkpoint: folder of the run, or of one of its checkpoints.
        data: file, folder or name of newer events of the same columns; None reads those of the training
            again, to which rows may have been added.
        data_dir: folder where the data lies now; None where it was.

    Raises:
        InputError: if the data cannot be read again, or rows that the run was trained on have changed.
    """
    from torchrec_ext.command_line.feedback import with_feedback
    from torchrec_ext.command_line.run_record import RunRecord  # here, so that --help is quick

    run = RunRecord.open(checkpoint)
    return with_feedback(_read(run, data, data_dir), run.folder, run.record)


def _read(run: RunRecord, data: str | None, data_dir: str | None) -> Events:
    """The events of the run's own data."""
    if data is None and (prepared := run.open_prepared()):
        return prepared[0].table
    raw = run.read(data, data_dir)
    if data is not None:
        return run.clean(raw, counts=False)
    added = run.count_added(raw)
    events = run.clean(raw, counts=not added)
    if not added:
        run.expect_same_number(events, "name a file of them, of the same columns, with --data")
    return events


def split_run_data(
    checkpoint: Path | str, data: str | None = None, data_dir: str | None = None, *, with_added: bool = True
) -> tuple[Parts, Newer | None]:
    """The parts a run was trained, validated and tested on, and what came after, if anything did.

    Args:
        checkpoint: folder of the run, or of one of its checkpoints.
        data: file, folder or name of the events of the training, with newer ones after them; None reads the
            data of the training again, to which rows may have been added.
        data_dir: folder where the data lies now; None where it was.
        with_added: whether added events are wanted too.

    Returns:
        The parts, and the events that were added after the training beside those known before, with users
        and items of few events; None where there are none or they are not wanted.

    Raises:
        InputError: if the data cannot be read or split again, or rows that the run was trained on have
            changed.
    """
    from functools import partial

    import numpy as np

    from torchrec_ext.command_line.newer_events import newer_events
    from torchrec_ext.command_line.run_record import RunRecord

    run = RunRecord.open(checkpoint)
    if run.record.get("split") is None:
        raise InputError(
            f"the split of {run.path} ({run.record.get('protocol')}) cannot be made again from its name and "
            "settings; evaluate in your own script with evaluation.evaluate"
        )
    if data is None and (prepared := run.open_prepared()):
        return prepared, None
    raw = run.read(data, data_dir)
    added = run.count_added(raw, given=data is not None)
    is_old = np.arange(len(raw)) < len(raw) - added
    events = run.clean(raw.take(is_old) if added else raw)
    run.expect_same_number(events, "evaluate in your own script with evaluation.evaluate")
    parts = run.split(events)
    if not (added and with_added):
        return parts, None
    without_counts = partial(run.clean, counts=False)
    return parts, newer_events(raw, ~is_old, without_counts, run.preparation, parts[0].protocol)
