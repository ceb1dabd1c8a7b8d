"""EventLog: flat columns sorted by (user, time); a history is a slice of them."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.lists import Lists
from torchrec_ext.data.slices import offsets_of, slice_positions


@dataclass(frozen=True, eq=False)
class EventLog:
    """N events of U users, a user's events side by side, oldest first.

    Users of the log are counted from 0 in the order of ``user_ids``; a user whom the vocabulary does
    not know still has a history here, so that a model which reads histories can serve a new user.

    Args:
        user_ids: the U users' own ids.
        user_rows: (U,) int64 rows of the user table, 0 for an unknown user.
        offsets: (U + 1,) int64; the events of user u are ``[offsets[u], offsets[u + 1])``.
        items: (N,) int32 rows of the item table, 0 for an unknown item.
        source_rows: (N,) int32 row of the event in the table that was read.
        times: (N,) float64 seconds, or None where the data has no time.
        ratings: (N,) float32, or None.
        weights: (N,) float32, how much each event counts by its type, or None where all count alike.
        context: of each context feature (N,) int32 rows or lists of them (categorical), or (N,) or
            (N, width) float32 numbers.

    Example:
        >>> users, times = Coded.of(pd.Series(["b", "a", "b"])), np.array([30, 20, 10])
        >>> log = EventLog.sort(users, np.array([1, 2]), times, items=np.array([7, 8, 9], np.int32))
        >>> list(log.user_ids), log.offsets, log.items
        (['b', 'a'], array([0, 2, 3]), array([9, 7, 8], dtype=int32))
    """

    user_ids: pd.Index
    user_rows: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    source_rows: np.ndarray
    times: np.ndarray | None = None
    ratings: np.ndarray | None = None
    weights: np.ndarray | None = None
    context: dict[str, np.ndarray | Lists] = field(default_factory=dict)

    @classmethod
    def sort(
        cls,
        users: Coded,
        user_rows: np.ndarray,
        by: np.ndarray | None,
        *,
        items: np.ndarray,
        times: np.ndarray | None = None,
        ratings: np.ndarray | None = None,
        weights: np.ndarray | None = None,
        context: dict[str, np.ndarray | Lists] | None = None,
    ) -> "EventLog":
        """Sorts N events by (user, time), simultaneous ones in the order of the table.

        Args:
            users: the users of the N events; each word stands for one of them at least.
            user_rows: (U,) int64 rows of the words in the user table.
            by: (N,) times or places in the history, or None to keep the order of the table.
            items: (N,) int32 rows of the item table, in the order of the table, as all that follow.
            times: (N,) float64 seconds.
            ratings: (N,) float32.
            weights: (N,) float32.
            context: N rows, lists or numbers of each context feature.
        """
        codes = users.codes
        order = np.lexsort((codes,) if by is None else (by, codes))
        offsets = offsets_of(np.bincount(codes, minlength=len(users.words)))
        source_rows = np.arange(len(codes), dtype=np.int32)
        unsorted = cls(
            users.words, user_rows, offsets, items, source_rows, times, ratings, weights, context or {}
        )
        return unsorted._take(order, offsets)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.items)

    @property
    def users(self) -> np.ndarray:
        """(N,) int64 user of each event."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.offsets))

    def select(self, events: np.ndarray) -> "EventLog":
        """The log of these events alone, all users kept.

        Args:
            events: (n,) int64 ascending positions in this log.
        """
        return self._take(events, np.searchsorted(events, self.offsets).astype(np.int64))

    def worth(self) -> np.ndarray:
        """(N,) float64, how much each event counts as a target: nothing if its item is unknown."""
        known = (self.items > 0).astype(np.float64)
        return known if self.weights is None else known * self.weights

    def recent(self, users: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
        """Starts of the newest ``length`` events of ``users`` before ``ends``; all (n,) int64."""
        return np.maximum(self.offsets[users], ends - length)

    def histories(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items of all events of these (n,) users: (sum,) int64 rows and (n + 1,) int64 offsets."""
        starts, ends = self.offsets[users], self.offsets[users + 1]
        return self.items[slice_positions(starts, ends)].astype(np.int64), offsets_of(ends - starts)

    def _take(self, events: np.ndarray, offsets: np.ndarray) -> "EventLog":
        return EventLog(
            self.user_ids,
            self.user_rows,
            offsets,
            items=self.items[events],
            source_rows=self.source_rows[events],
            times=None if self.times is None else self.times[events],
            ratings=None if self.ratings is None else self.ratings[events],
            weights=None if self.weights is None else self.weights[events],
            context={name: column[events] for name, column in self.context.items()},
        )
