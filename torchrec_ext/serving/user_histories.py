"""UserHistories: the histories of users, from the events of a bundle and those of the event log."""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
import pandas as pd

from torchrec_ext.data.event_log import EventLog
from torchrec_ext.serving.bundle import Bundle
from torchrec_ext.serving.event_store import EventStore, StoreError
from torchrec_ext.serving.served_event import ADDED_ITEM, EXPOSURE, Id, ServedEvent
from torchrec_ext.serving.user_history import EventReader, UserHistory


class UserHistories:
    """Finds the history of a user, with the events of all services over a store. One thread at a time.

    Histories of users who were asked for lately stay in memory, and each look adds what the store has of them
    since the last one. While the store cannot be read, they are as they were last.

    Args:
        bundle: whose model reads the histories.
        store: the events after those of the bundle; other services may write to it too.
        most_users: histories in memory.
        log: of the bundle's events, if it is there already; None makes it.
    """

    def __init__(
        self, bundle: Bundle, store: EventStore, most_users: int = 100_000, log: EventLog | None = None
    ) -> None:
        inputs, self.preparation = bundle.model.inputs, bundle.model.preparation
        self.store, self.most_users = store, most_users
        weights = {} if bundle.events is None else bundle.events.weights
        self.reader = EventReader(self.preparation, inputs.history_fields, weights, inputs.max_length)
        if log is None and bundle.events is not None:
            log = self.preparation.log(bundle.events)
        self.log = log
        self._places = pd.Index([]) if self.log is None else pd.Index(self.log.user_ids)
        self._after = int(bundle.manifest.get("position", 0))
        self._cache: OrderedDict[Id, UserHistory] = OrderedDict()

    def of(self, user: Id) -> UserHistory:
        """The history of a user; an empty one for a new user.

        Raises:
            StoreError: if it is not in memory, and the store cannot be read now.
        """
        found = self._cache.get(user)
        if found is None:
            found = self._cache[user] = self._read(user)
            if len(self._cache) > self.most_users:
                self._cache.popitem(last=False)
        else:
            with suppress(StoreError):
                found.active |= self._add_newer(found, user)
        self._cache.move_to_end(user)
        return found

    def session(self, events: Sequence[ServedEvent]) -> UserHistory:
        """The history of an anonymous session."""
        history = UserHistory(None)
        self.reader.add(history, events)
        return history

    def _read(self, user: Id) -> UserHistory:
        row = int(self.preparation.vocabularies["user"].rows([user])[0])
        history = UserHistory(user, row, position=self._after)
        if self.log is not None and (place := int(self._places.get_indexer([user])[0])) >= 0:
            self._take(history, self.log, place)
        self._add_newer(history, user)
        return history

    def _add_newer(self, history: UserHistory, user: Id) -> bool:
        """Adds what the store has of the user after the position of the history; whether there was any."""
        stored = self.store.of_user(user, history.position, without=EXPOSURE)
        stored = [pair for pair in stored if pair[1].type != ADDED_ITEM]
        if stored:
            self.reader.add(history, [event for _, event in stored])
            history.position = max(position for position, _ in stored)
        return bool(stored)

    def _take(self, history: UserHistory, log: EventLog, place: int) -> None:
        """Takes over the events of a user of a log."""
        seen, _ = log.items_of(np.array([place]))
        history.seen.update(int(row) for row in seen if row)
        end = int(log.offsets[place + 1])
        start = max(int(log.offsets[place]), end - self.reader.most)
        history.items = log.items[start:end].tolist()
        history.times = [0.0] * (end - start) if log.times is None else log.times[start:end].tolist()
        for feature in self.reader.features:
            column = log.context[feature.name][start:end]
            history.context[feature.name] = (
                list(column) if isinstance(column, np.ndarray) else column.to_pylist()
            )
        history.unread = len(history.items)
