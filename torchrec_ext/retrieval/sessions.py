"""Sessions: anonymous histories, given as lists of items or as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from torchrec_ext.batch import Inputs
from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval.known_items import expect_kind_of_items
from torchrec_ext.retrieval.requests import Requests


def requests_of_sessions(
    preparation: Preparation, inputs: Inputs, sessions: Sequence[Sequence] | pd.DataFrame
) -> Requests:
    """Sessions as the histories of unknown users.

    Args:
        preparation: how ids became rows.
        inputs: what the model reads.
        sessions: one list of item ids a session, oldest first, whose ids are then 0, 1, ...; or a frame of
            columns ``session`` and ``item``, if wanted ``timestamp``, without which the rows are in order,
            and the context columns that the model reads of each event of a history.

    Raises:
        InputError: if the model reads no history, a column is missing, or there is no session.
    """
    if not inputs.max_length:
        raise InputError("sessions are histories, but this model reads no history; give users instead")
    frame = sessions if isinstance(sessions, pd.DataFrame) else None
    names: pd.Index
    if frame is None:
        frame, names = _frame_of_lists(sessions)
    else:
        for column in ("session", "item"):
            if column not in frame:
                there = ", ".join(map(str, frame.columns))
                raise InputError(f"sessions lack the column {column!r}; they have {there}")
        names = pd.Index(frame["session"].unique())
    if not len(names):
        raise InputError("sessions is empty; give at least one")
    expect_kind_of_items(preparation, frame["item"], "sessions")
    log = _log(preparation, inputs, frame, names)
    return Requests("session", names.to_numpy(), np.arange(len(names)), log)


def reads_times(module: nn.Module) -> bool:
    """Whether a part of a model says that it reads the times of events."""
    return any(getattr(part, "reads_times", False) for part in module.modules())


def _frame_of_lists(sessions: Sequence[Sequence]) -> tuple[pd.DataFrame, pd.Index]:
    lists = list(sessions)
    for items in lists:
        if pd.api.types.is_scalar(items):
            raise InputError(
                f"sessions should be lists of item ids, one a session; received {items!r} among them"
            )
    lengths = [len(items) for items in lists]
    flat = [item for items in lists for item in items]
    items = pd.Series(flat, dtype=None if flat else object)
    frame = pd.DataFrame({"session": np.repeat(np.arange(len(lists)), lengths), "item": items})
    return frame, pd.RangeIndex(len(lists))


def _log(preparation: Preparation, inputs: Inputs, frame: pd.DataFrame, names: pd.Index) -> EventLog:
    features = [f for f in preparation.schema.of("context") if f.name in inputs.history_fields]
    for feature in features:
        if feature.column not in frame:
            raise InputError(
                f"sessions lack the column {feature.column!r}, which the model reads of each event; give a "
                f"frame with it (they have {', '.join(map(str, frame.columns))})"
            )
    by, times = _times(frame)
    columns = [("items", preparation.vocabularies["item"].rows(frame["item"]).astype(np.int32))]
    if times is not None:
        columns.append(("times", times))
    context = ((f.name, preparation.context(f, frame[f.column])) for f in features)
    codes = names.get_indexer(frame["session"])
    counts, order = np.bincount(codes, minlength=len(names)), by_user_and_time(codes, by)
    return EventLog.sort(names, np.zeros(len(names), np.int64), counts, order, [*columns, *context])


def _times(frame: pd.DataFrame) -> tuple[np.ndarray | None, np.ndarray | None]:
    """What the events are ordered by, and their times in seconds; None where there are none."""
    if "timestamp" not in frame or not len(frame):
        return None, None
    named = pd.DataFrame({"user": frame["session"], "item": 0, "timestamp": frame["timestamp"]})
    events = read_events(named, max_bad_share=0.0)  # a time that cannot be read is refused
    by = events.numbers("timestamp")
    if by is None or events.source.order != "time":
        return by, None
    return by, by.astype(np.float64)
