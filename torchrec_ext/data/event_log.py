"""EventLog: flat columns sorted by (user, time); a history is a slice of them."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from torchrec_ext.data.mapped_file import release_pages
from torchrec_ext.data.slices import FlatColumn, offsets_of, slice_positions, take_rows

_COLUMNS = ("items", "source_rows", "times", "ratings", "weights")
LABEL = "label_"
"""What the names of label columns begin with."""


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
        labels: (N,) float64 of each further column that labels are made of, NaN for a missing value.
        context: of each context feature (N,) int32 rows, N lists of them, or (N, width) float32 numbers.

    Example:
        >>> users, columns = pd.Index(["b", "a"]), [("items", np.array([7, 8, 9], np.int32))]
        >>> log = EventLog.sort(users, np.array([1, 2]), np.array([2, 1]), np.array([2, 0, 1]), columns)
        >>> log.offsets, log.items, log.source_rows
        (array([0, 2, 3]), array([9, 7, 8], dtype=int32), array([2, 0, 1], dtype=int32))
    """

    user_ids: pd.Index
    user_rows: np.ndarray
    offsets: np.ndarray
    items: np.ndarray
    source_rows: np.ndarray
    times: np.ndarray | None = None
    ratings: np.ndarray | None = None
    weights: np.ndarray | None = None
    labels: Mapping[str, np.ndarray] = field(default_factory=dict)
    context: Mapping[str, FlatColumn] = field(default_factory=dict)

    @classmethod
    def sort(
        cls,
        user_ids: pd.Index,
        user_rows: np.ndarray,
        counts: np.ndarray,
        order: np.ndarray,
        columns: Iterable[tuple[str, FlatColumn]],
        folder: Path | None = None,
        source_rows: np.ndarray | None = None,
    ) -> "EventLog":
        """The log of N events that stand in another ``order`` in their columns, of (U,) ``counts`` a user.

        Of ``columns``, each with its name, one is in memory at a time; any but those of the class is a
        label if its name begins with ``label_``, else a context feature. ``folder`` is an empty one to map
        the log from, None keeps it in memory. ``source_rows`` are those of the columns in the table that was
        read, None for 0, 1, ...
        """
        found: dict[str, FlatColumn] = {"user_rows": user_rows, "offsets": offsets_of(counts)}
        if source_rows is None:
            found["source_rows"] = order.astype(np.int32, copy=False)
        else:
            columns = itertools.chain([("source_rows", source_rows)], columns)
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"id": pa.array(user_ids)}), folder / "users.parquet")
            found = {name: _kept(column, folder, name) for name, column in found.items()}
        for name, column in columns:
            found[name] = _taken(column, order, writable=folder is None)
            if folder is not None:
                found[name] = _kept(found[name], folder, name)
                release_pages(getattr(column, "_mmap", None))
        return cls._of(user_ids, found)

    @classmethod
    def open(cls, folder: Path) -> "EventLog":
        """Maps what :meth:`sort` or :meth:`select` left in a folder; it is read as it is asked for."""
        ids = pq.read_table(folder / "users.parquet").column("id").to_pandas()
        names = {path.name.partition(".")[0] for path in folder.glob("*.npy")}
        return cls._of(pd.Index(ids), {name: _opened(folder, name) for name in sorted(names)})

    @classmethod
    def _of(cls, user_ids: pd.Index, columns: dict[str, FlatColumn]) -> "EventLog":
        own: dict[str, Any] = {name: columns.pop(name, None) for name in ("user_rows", "offsets", *_COLUMNS)}
        labels: dict[str, Any] = {
            name.removeprefix(LABEL): columns.pop(name) for name in [*columns] if name.startswith(LABEL)
        }
        return cls(user_ids, **own, labels=labels, context=columns)

    def __len__(self) -> int:
        """Number of events."""
        return len(self.items)

    @property
    def users(self) -> np.ndarray:
        """(N,) int64 user of each event."""
        return np.repeat(np.arange(len(self.user_ids)), np.diff(self.offsets))

    def select(self, events: np.ndarray, folder: Path | None = None) -> "EventLog":
        """The log of these (n,) int64 ascending positions, with all users; folder as in :meth:`sort`."""
        counts = np.diff(np.searchsorted(events, self.offsets))
        own = {name: getattr(self, name) for name in _COLUMNS if name != "source_rows"}
        own |= {f"{LABEL}{name}": column for name, column in self.labels.items()}
        columns = ((n, column) for n, column in {**own, **self.context}.items() if column is not None)
        return self.sort(self.user_ids, self.user_rows, counts, events, columns, folder, self.source_rows)

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
        """Items of the events of (n,) users: (sum,) int64 rows, 0 if unknown, and (n + 1,) int64 offsets.

        Those that are only read as history are left out.
        """
        starts, ends = self.offsets[users], self.offsets[users + 1]
        positions, offsets = slice_positions(starts, ends), offsets_of(ends - starts)
        if self.weights is not None:
            counted = self.weights[positions] > 0
            positions, offsets = positions[counted], offsets_of(counted)[offsets]
        return self.items[positions].astype(np.int64), offsets


def _taken(column: FlatColumn, rows: np.ndarray, writable: bool) -> FlatColumn:
    """Many rows of a column, of numbers with Arrow, since NumPy takes more than twice as long."""
    if not isinstance(column, np.ndarray) or column.ndim > 1:
        return take_rows(column, rows)
    found = pc.take(pa.array(column), pa.array(rows), boundscheck=False)
    return found.to_numpy(zero_copy_only=False, writable=writable)


def _kept(column: FlatColumn, folder: Path, name: str) -> FlatColumn:
    """A column in files of a folder, mapped into memory: the one in memory is needed no more."""
    if isinstance(column, np.ndarray):
        np.save(folder / f"{name}.npy", column)
    else:
        np.save(folder / f"{name}.npy", column.values.to_numpy())
        np.save(folder / f"{name}.offsets.npy", column.offsets.to_numpy())
    return _opened(folder, name)


def _opened(folder: Path, name: str) -> FlatColumn:
    paths = (folder / f"{name}.npy", folder / f"{name}.offsets.npy")
    values, *offsets = (np.load(path, mmap_mode="r", allow_pickle=False) for path in paths if path.is_file())
    return pa.LargeListArray.from_arrays(offsets[0], values) if offsets else values
