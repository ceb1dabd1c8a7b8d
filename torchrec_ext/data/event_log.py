"""EventLog: flat columns sorted by (user, time); a history is a slice of them."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from torchrec_ext.data.array_file import open_array
from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.coded import Coded
from torchrec_ext.data.gather import gather, open_column
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
        ratings: (N,) float64, NaN for an event without one, or None.
        weights: (N,) float32, how much each event counts when it is learnt or predicted, 0 for one that is
            only read as history; None where all count alike.
        context: of each context feature (N,) int32 rows or lists of them (categorical), or (N,) or
            (N, width) float32 numbers.

    Example:
        >>> users, times = Coded.of(pd.Series(["b", "a", "b"])), np.array([30, 20, 10])
        >>> columns = [("items", np.array([7, 8, 9], np.int32))]
        >>> log = EventLog.sort(users, np.array([1, 2]), times, columns)
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
        columns: Iterable[tuple[str, np.ndarray | Lists]],
        folder: Path | None = None,
    ) -> "EventLog":
        """Sorts N events by (user, time), simultaneous ones in the order of the table.

        Args:
            users: the users of the N events; each word stands for one of them at least.
            user_rows: (U,) int64 rows of the words in the user table.
            by: (N,) times or places in the history, or None to keep the order of the table.
            columns: name and N values of ``items`` and, if known, ``times``, ``ratings`` and ``weights``; any
                other name is that of a context feature. One is in memory at a time.
            folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.
        """
        codes = users.codes
        order = by_user_and_time(codes, by)
        offsets = offsets_of(np.bincount(codes, minlength=len(users.words)))
        everything = itertools.chain([("source_rows", np.arange(len(codes), dtype=np.int32))], columns)
        return cls._gathered(users.words, user_rows, offsets, everything, order, folder)

    @classmethod
    def open(cls, folder: Path) -> "EventLog":
        """Maps what :meth:`sort` or :meth:`select` left in a folder; it is read as it is asked for."""
        ids = pq.read_table(folder / "users.parquet").column("id").to_pandas()
        names = {path.name.removesuffix(".npy") for path in folder.glob("*.npy")} - set(_OF_USERS)
        columns = {n: open_column(folder, n) for n in sorted(names) if not n.endswith(".offsets")}
        of_users = {n: open_array(folder / f"{n}.npy") for n in _OF_USERS}
        own = {n: columns.pop(n, None) for n in _COLUMNS}
        return cls(pd.Index(ids), **of_users, **own, context=columns)  # type: ignore[arg-type]

    def __len__(self) -> int:
        """Number of events."""
        return len(self.items)

    @property
    def users(self) -> np.ndarray:
        """(N,) int64 user of each event."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.offsets))

    def select(self, events: np.ndarray, folder: Path | None = None) -> "EventLog":
        """The log of these events alone, all users kept.

        Args:
            events: (n,) int64 ascending positions in this log.
            folder: see :meth:`sort`.
        """
        offsets = np.searchsorted(events, self.offsets).astype(np.int64)
        own = ((name, getattr(self, name)) for name in _COLUMNS)
        columns = ((name, column) for name, column in (*own, *self.context.items()) if column is not None)
        return self._gathered(self.user_ids, self.user_rows, offsets, columns, events, folder)

    def is_target(self) -> np.ndarray:
        """(N,) bool, which events may be learnt or predicted; the others are only read as history."""
        return np.ones(len(self), bool) if self.weights is None else np.asarray(self.weights) > 0

    def target_items(self) -> np.ndarray:
        """(N,) int32 item rows, 0 for an event that is only read as history or whose item is unknown."""
        return self.items if self.weights is None else np.where(self.is_target(), self.items, 0)

    def target_weights(self) -> np.ndarray:
        """(N,) float64, how much each event counts as a target of retrieval: 0 if its item is unknown."""
        known = (self.target_items() > 0).astype(np.float64)
        return known if self.weights is None else known * self.weights

    def recent(self, users: np.ndarray, ends: np.ndarray, length: int) -> np.ndarray:
        """Starts of the newest ``length`` events of ``users`` before ``ends``; all (n,) int64."""
        return np.maximum(self.offsets[users], ends - length)

    def items_of(self, users: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items of the events of (n,) users, without those that are only read as history.

        Returns:
            (sum,) int64 rows, 0 for an unknown item, and (n + 1,) int64 offsets of each user's.
        """
        starts, ends = self.offsets[users], self.offsets[users + 1]
        positions, offsets = slice_positions(starts, ends), offsets_of(ends - starts)
        if self.weights is not None:
            counted = self.weights[positions] > 0
            positions, offsets = positions[counted], offsets_of(counted)[offsets]
        return self.items[positions].astype(np.int64), offsets

    @classmethod
    def _gathered(
        cls,
        user_ids: pd.Index,
        user_rows: np.ndarray,
        offsets: np.ndarray,
        columns: Iterable[tuple[str, np.ndarray | Lists]],
        events: np.ndarray,
        folder: Path | None,
    ) -> "EventLog":
        """A log of the (n,) events of columns, in their order."""
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"id": pa.array(user_ids)}), folder / "users.parquet")
            np.save(folder / "user_rows.npy", user_rows)
            np.save(folder / "offsets.npy", offsets)
        found = {name: gather(column, events, folder, name) for name, column in columns}
        own: dict[str, Any] = {name: found.pop(name, None) for name in _COLUMNS}
        return cls(user_ids, user_rows, offsets, **own, context=found)


_COLUMNS = ("items", "source_rows", "times", "ratings", "weights")
_OF_USERS = ("user_rows", "offsets")
