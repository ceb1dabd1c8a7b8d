"""UserHistory: the newest events of one user as the model reads them, and the items the user has seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import FlatColumn, offsets_of
from torchrec_ext.schema import DenseFeature, Feature
from torchrec_ext.serving.sent_values import sent_values
from torchrec_ext.serving.served_event import Id, ServedEvent


@dataclass(eq=False)
class UserHistory:
    """What a model reads of a user or of an anonymous session.

    Args:
        user: the id, or None of a session.
        row: of the user table, 0 for an unknown user.
        items: item rows of the newest events, oldest first; 0 for an unknown item or none.
        times: seconds of these events.
        context: of each feature of the events that the model reads, its value of each event: a row, a list
            of rows or a number.
        seen: item rows that lists leave out.
        position: of the log, up to which its events are among them.
        encoded: the state of a streaming encoder, and its output for the newest event it has read.
        unread: how many of the newest events that encoder has not read.
        active: whether an event has arrived since the history was read, so that a state is worth keeping.
    """

    user: Id | None
    row: int = 0
    items: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    context: dict[str, list[Any]] = field(default_factory=dict)
    seen: set[int] = field(default_factory=set)
    position: int = 0
    encoded: tuple[Any, Any] | None = None
    unread: int = 0
    active: bool = False

    def __len__(self) -> int:
        """How many events the model reads."""
        return len(self.items)

    def without(self, place: int) -> "UserHistory":
        """The same user without one of the events."""
        rest = [i for i in range(len(self)) if i != place]
        context = {name: [values[i] for i in rest] for name, values in self.context.items()}
        return UserHistory(
            self.user, self.row, [self.items[i] for i in rest], [self.times[i] for i in rest], context
        )


class EventReader:
    """Turns events of a service into rows and numbers, as the preparation of a model does.

    Args:
        preparation: of the model.
        fields: names of the context features of a history's events that the model reads.
        weights: how much an event of each type counts; items of events that weigh 0 are not seen.
        most: events of a history that are kept.
    """

    def __init__(
        self, preparation: Preparation, fields: Sequence[str], weights: Mapping[str, float], most: int
    ) -> None:
        self.preparation, self.weights, self.most = preparation, weights, max(most, 1)
        self.features = [f for f in preparation.schema.of("context") if f.name in fields]

    def add(self, history: UserHistory, events: Sequence[ServedEvent]) -> None:
        """Adds events to a history, in the order of their times.

        The state of an encoder is dropped if one of them is not the newest.
        """
        rows = self.preparation.vocabularies["item"].rows(pd.Series([e.item for e in events], dtype=object))
        context = {f.name: self._values(f, events) for f in self.features}
        for place, event in enumerate(events):
            at = len(history.times)
            while at and history.times[at - 1] > event.timestamp:
                at -= 1
            if at < len(history.times):
                history.encoded = None
            history.items.insert(at, int(rows[place]))
            history.times.insert(at, event.timestamp)
            for name, values in context.items():
                history.context.setdefault(name, []).insert(at, values[place])
            if rows[place] and self.weights.get(event.type or "", 1.0) > 0:
                history.seen.add(int(rows[place]))
        history.unread += len(events)
        columns: list[list[Any]] = [history.items, history.times, *history.context.values()]
        for column in columns:
            del column[: -self.most]

    def _values(self, feature: Feature | DenseFeature, events: Sequence[ServedEvent]) -> list[Any]:
        own: dict[str, list[Any]] = {
            "timestamp": [e.timestamp for e in events],
            "type": [e.type for e in events],
        }
        values = own.get(feature.column) or [e.context.get(feature.column) for e in events]
        found = sent_values(self.preparation, feature, values, strict=False)
        return list(found) if isinstance(found, np.ndarray) else found.to_pylist()


def log_of(
    histories: Sequence[UserHistory], features: Sequence[Feature | DenseFeature], times: bool
) -> EventLog:
    """The log of the events of several users, in their order.

    Args:
        histories: of the users.
        features: of the events that the model reads.
        times: whether the model was trained on data with times.
    """
    offsets = offsets_of(np.array([len(history) for history in histories], np.int64))
    columns: dict[str, FlatColumn] = {}
    for feature in features:
        flat = [value for history in histories for value in history.context.get(feature.name, ())]
        if isinstance(feature, Feature) and feature.many:
            columns[feature.name] = pa.array(flat, pa.large_list(pa.int32()))
        else:
            columns[feature.name] = np.array(flat, np.int32 if isinstance(feature, Feature) else np.float32)
    items = np.array([item for history in histories for item in history.items], np.int32)
    return EventLog(
        pd.RangeIndex(len(histories)),
        np.array([history.row for history in histories], np.int64),
        offsets,
        items,
        np.arange(len(items), dtype=np.int32),
        times=np.array([t for history in histories for t in history.times], np.float64) if times else None,
        context=columns,
    )
