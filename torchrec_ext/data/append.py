"""append(): later events, new users and new items in a folder of prepared data."""

import dataclasses
import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torchrec_ext.data.events import Earlier, Events
from torchrec_ext.data.filters.repeat_cleaning import repeat_cleaning
from torchrec_ext.data.join_events import join_events
from torchrec_ext.data.prepared import SPLITS, open_prepared, read_manifest, write_version
from torchrec_ext.data.recorded_calls import arguments_of
from torchrec_ext.data.sources.declaration import TableSource
from torchrec_ext.data.sources.read import Sources, read_events
from torchrec_ext.data.splits.parts import Parts
from torchrec_ext.errors import InputError

_OF_FILES = ("format", "delimiter", "header", "decimal", "quote", "encoding")
"""Arguments of ``read_events`` that mean nothing for a table in memory."""


def append(
    folder: str | Path,
    more: Sources | Events,
    *,
    users: TableSource | None = None,
    items: TableSource | None = None,
    read: Mapping[str, Any] | None = None,
    split_by: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> Parts:
    """Adds later events to prepared data, and splits all events again as they were split before.

    No row of a vocabulary moves: new users, items and categories get rows behind the known ones, and scales
    and buckets stay as they were fitted, so a trained model reads its inputs as before. The new events are
    filtered as the old ones, but users and items of few events stay. The folder changes in one step, when
    everything is written; parts that were opened before stay as they are.

    Args:
        folder: of :func:`~torchrec_ext.data.prepare`.
        more: later events, read with the arguments that the folder's were read with, or ``Events``.
        users: side features of new users, and new ones of known users.
        items: the same of items.
        read: arguments of ``read_events`` that differ from those of the folder.
        split_by: arguments of the split that differ, such as a later ``test_from``.
        progress: shows a bar.

    Returns:
        The training, validation and test part of all events.

    Raises:
        InputError: if the folder holds no prepared data, another process appends to it, the new events lack
            a column or hold ids of another type, or some of them are in the folder already.

    Example:
        >>> import tempfile, pandas as pd
        >>> from torchrec_ext.data import prepare
        >>> place = Path(tempfile.mkdtemp(), "visits")
        >>> train, _, _ = prepare(pd.DataFrame({"user": ["ann"] * 4, "item": list("dcba")}), place)
        >>> later, _, _ = append(place, pd.DataFrame({"user": ["bob"] * 4, "item": list("aebc")}))
        >>> [list(part.preparation.vocabularies["item"].index) for part in (train, later)]
        [['d', 'c', 'b', 'a'], ['d', 'c', 'b', 'a', 'e']]
    """
    path = Path(folder).expanduser()
    read_manifest(path)
    with (path / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"another process appends to {path}; wait until it is done") from None
        before = open_prepared(path)[0]
        split = before.report.call
        if split is None:
            raise InputError(f"{path} was split by a function of its own; split it again with prepare")
        if any(call["call"] == "sessions" for call in before.table.source.calls):
            raise InputError(f"{path} holds sessions, whose numbers would begin again; prepare all again")

        def joined(place: Path) -> Events:
            others = {"folder": place, "progress": progress, "users": users, "items": items, **(read or {})}
            new = more if isinstance(more, Events) else _read(before.table, more, others)
            return join_events(before.table, repeat_cleaning(new, before.table.source.calls, counts=False))

        def split_again(events: Events, place: Path) -> Parts:
            earlier = Earlier(before.preparation.vocabularies, before.preparation.fitted)
            arguments = {**arguments_of(split, SPLITS[split["call"]]), **(split_by or {}), "folder": place}
            return SPLITS[split["call"]](dataclasses.replace(events, earlier=earlier), **arguments)

        write_version(path, joined, split_again)
    return open_prepared(path)


def _read(before: Events, source: Sources, others: Mapping[str, Any]) -> Events:
    """New events, read as those before but for the other arguments."""
    calls = [call for call in before.source.calls if call["call"] == "read_events"]
    kept = arguments_of(calls[0], read_events) if calls else {}
    for name in ("source", "data_dir", *(() if isinstance(source, str | Path) else _OF_FILES)):
        kept.pop(name, None)
    for entity in ("user", "item"):
        if others.get(f"{entity}s") is None:  # those of the folder are used
            kept[f"{entity}_features"] = None
    kept["order"] = before.source.order if before.source.order != "none" else None
    return read_events(source, **{**kept, **others})
