"""append(): later events, new users and new items in a folder of prepared data."""

import dataclasses
import fcntl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.content import Content
from torchrec_ext.data.events import Earlier, Events
from torchrec_ext.data.filters.repeat_cleaning import repeat_cleaning
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
        >>> import tempfile
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
            return _joined(before.table, repeat_cleaning(new, before.table.source.calls, counts=False))

        def split_again(events: Events, place: Path) -> Parts:
            earlier = Earlier(before.preparation.vocabularies, before.preparation.fitted)
            arguments = {**arguments_of(split), **(split_by or {}), "folder": place}
            return SPLITS[split["call"]](dataclasses.replace(events, earlier=earlier), **arguments)

        write_version(path, joined, split_again)
    return open_prepared(path)


def _read(before: Events, source: Sources, others: Mapping[str, Any]) -> Events:
    """New events, read as those before but for the other arguments."""
    calls = [call for call in before.source.calls if call["call"] == "read_events"]
    kept = arguments_of(calls[0]) if calls else {}
    for name in ("source", "data_dir", *(() if isinstance(source, str | Path) else _OF_FILES)):
        kept.pop(name, None)
    for entity in ("user", "item"):
        if others.get(f"{entity}s") is None:  # those of the folder are used
            kept[f"{entity}_features"] = None
    kept["order"] = before.source.order if before.source.order != "none" else None
    return read_events(source, **{**kept, **others})


def _joined(before: Events, new: Events) -> Events:
    """The events of both, those before first; the columns are those before."""
    columns = []
    for name, kind in zip(before.columns, before.table.schema.types, strict=True):
        column = new.column(name)
        if column is None:
            raise InputError(f"the new events lack the column {name!r}; they have {', '.join(new.columns)}")
        columns.append(_as_before(name, column, kind))
    added = pa.table(columns, schema=before.table.schema)
    source = dataclasses.replace(
        before.source,
        files={**before.source.files, **new.source.files},
        ties=before.source.ties + new.source.ties,
        rows=before.source.rows + new.source.rows,
        steps=(*before.source.steps, *new.source.steps),
        sides=new.source.sides or before.source.sides,
    )
    both = dataclasses.replace(
        before,
        table=pa.concat_tables([before.table, added]).unify_dictionaries(),
        source=source,
        users=_side(before.users, new.users, "user"),
        items=_side(before.items, new.items, "item"),
    )
    _expect_new(both, len(before))
    return dataclasses.replace(both, source=dataclasses.replace(source, content=Content(both)))


def _as_before(name: str, column: pa.Array, kind: pa.DataType) -> pa.Array:
    """A column in the type of that before; integers may become strings or floats, never the reverse."""
    try:
        if pa.types.is_dictionary(kind) and pa.types.is_dictionary(column.type):
            words = column.dictionary.cast(kind.value_type)
            return pa.DictionaryArray.from_arrays(column.indices, words)
        if pa.types.is_timestamp(kind) and pa.types.is_integer(column.type):
            column = column.cast(pa.timestamp("s"))
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise InputError(
            f"column {name!r} of the new events is {column.type}, expected {kind} as before "
            f"({' '.join(str(error).split())[:100]}); convert it, or declare its kind"
        ) from None


def _side(before: pd.DataFrame | None, new: pd.DataFrame | None, entity: str) -> pd.DataFrame | None:
    """The rows of both side tables; a new row of a known id takes the place of the old one."""
    if before is None or new is None:
        return before
    for name in before:
        if name not in new:
            raise InputError(f"the new table of {entity}s lacks the column {name!r}; give it the same ones")
    if not pd.api.types.is_integer_dtype(before[entity].dtype):
        new = new.assign(**{entity: new[entity].astype(str)})
    rows = pd.concat([before, new[list(before)]], ignore_index=True)
    return rows.drop_duplicates(entity, keep="last").reset_index(drop=True)


def _expect_new(events: Events, count: int) -> None:
    """Refuses events whose user, item and time stand among the first ``count`` events already."""
    if events.ticks is None or not {"user", "item"} <= {*events.columns}:
        return
    columns = {"user": events.codes("user"), "item": events.codes("item"), "time": events.ticks}
    rows = pd.DataFrame(columns, copy=False)
    old, new = rows[:count], rows[count:]
    again = len(new.merge(old[old["time"] >= new["time"].min()].drop_duplicates()))
    if again:
        raise InputError(
            f"{again:,} of the {len(events) - count:,} new events have the user, item and time of an "
            "event in the folder; append later events alone"
        )
