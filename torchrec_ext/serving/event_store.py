"""EventStore: an append-only, numbered log of events, and SqliteEventStore, which keeps it in one file."""

import json
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from typing_extensions import Self

from torchrec_ext.errors import InputError
from torchrec_ext.serving.event_file import connect, open_event_file
from torchrec_ext.serving.served_event import Id, ServedEvent, checked_id

_COLUMNS = "id, user, item, timestamp, type, context"
_INSERT = (
    f"INSERT INTO events ({_COLUMNS}, position) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING"
)
_POSITION_OF = "SELECT position FROM events WHERE id = ?"


class StoreError(Exception):
    """The event log cannot be read or written now: a full disk, a lock held too long, a closed store.

    The message is one line without a path. Events that were acknowledged are safe. The same call may succeed
    later, and events with an ``id`` then count once, whatever became of them before. A service answers 503.
    """


class EventStore(Protocol):
    """An append-only log of events, numbered upwards from 1; any number of threads may use it.

    A log of several machines may have gaps between the numbers.

    Each method raises an InputError for a wrong argument, and a StoreError if it cannot do its work now.
    """

    def append(self, events: Iterable[ServedEvent]) -> list[int]:
        """Adds events, and returns their positions once all of them are durable.

        After a StoreError all of them are to be sent again: some may be stored. An event whose ``id`` is in
        the log adds nothing; it has the position of its first delivery.
        """

    def after(self, position: int, limit: int) -> list[tuple[int, ServedEvent]]:
        """The first ``limit`` events after a position, with their positions; the log begins after 0."""

    def last(self, user: Id, count: int) -> list[ServedEvent]:
        """A user's newest ``count`` events, in the order of (timestamp, position); none of a new user."""

    def of_user(self, user: Id, after: int = 0, without: str = "") -> list[tuple[int, ServedEvent]]:
        """A user's events after a position, with their positions, in the order of (timestamp, position).

        Those of the type ``without`` are left out.
        """

    @property
    def position(self) -> int:
        """The newest position; 0 if the log is empty."""

    def close(self) -> None:
        """Waits for a commit that runs, and refuses later calls with a StoreError."""


class _Request:
    """A call of append(): its rows, and then their positions or an error."""

    def __init__(self, rows: list[tuple[Any, ...]]) -> None:
        self.rows = rows
        self.positions: list[int] = []
        self.error: StoreError | None = None

    def is_done(self) -> bool:
        return bool(self.positions) or self.error is not None


class SqliteEventStore:
    """An :class:`EventStore` in a file of SQLite, in WAL mode and synced at every commit.

    Acknowledged events survive a killed process and a power cut. Positions have no gaps, and an append adds
    all of its events or none. Readers do not block the writer. Appends
    that arrive while the disk syncs are committed together afterwards, so that small batches of many clients
    do not wait for a sync each. Several processes may use one file.

    Args:
        path: the file, made if it does not exist; SQLite keeps ``-wal`` and ``-shm`` beside it. The disk has
            to be a local one.
        lock_seconds: how long to wait for another process that writes.

    Raises:
        InputError: if the path cannot be written, or is not an event log of this version.

    Source: https://www.sqlite.org/wal.html

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder, SqliteEventStore(f"{folder}/events.sqlite") as store:
        ...     click = ServedEvent("ann", 42, 1735689600.0, type="click", id="a-1")
        ...     print(store.append([click, ServedEvent("ann", 43, 1735689660.0)]))
        ...     print(store.append([click]), len(store))
        ...     print([event.item for event in store.last("ann", count=10)])
        [1, 2]
        [1] 2
        [42, 43]
    """

    def __init__(self, path: str | os.PathLike[str], lock_seconds: float = 5) -> None:
        self._path = Path(path).absolute()
        self._lock_seconds = lock_seconds
        self._closed = False
        self._turn = threading.Condition()  # guards the two below, and tells that a commit has ended
        self._committing = False  # a thread uses the writer, for all that wait
        self._requests: list[_Request] = []  # those which wait
        self._writer = open_event_file(self._path, lock_seconds)
        self._readers: deque[sqlite3.Connection] = deque()  # those which no thread is using

    def append(self, events: Iterable[ServedEvent]) -> list[int]:
        request = _Request([_row(expect_event(index, event)) for index, event in enumerate(events)])
        if not request.rows:
            return []
        with self._turn:
            self._requests.append(request)
            self._turn.wait_for(lambda: request.is_done() or not self._committing)
            if request.is_done():
                requests = []  # by another thread
            else:
                self._committing = True
                requests, self._requests = self._requests, []
        if requests:
            try:
                self._commit_together(requests)
            finally:
                with self._turn:
                    self._committing = False
                    self._turn.notify_all()
        if request.error is not None:
            raise request.error
        return request.positions

    def after(self, position: int, limit: int) -> list[tuple[int, ServedEvent]]:
        expect_whole("position", position)
        expect_whole("limit", limit)
        query = f"SELECT {_COLUMNS}, position FROM events WHERE position > ? ORDER BY position LIMIT ?"
        return [(row[-1], _event(row)) for row in self._select(query, position, limit)]

    def last(self, user: Id, count: int) -> list[ServedEvent]:
        user = checked_id("user", user)
        expect_whole("count", count)
        newest = "WHERE user = ? ORDER BY timestamp DESC, position DESC LIMIT ?"
        rows = self._select(f"SELECT {_COLUMNS} FROM events {newest}", user, count)
        return [_event(row) for row in reversed(rows)]

    def of_user(self, user: Id, after: int = 0, without: str = "") -> list[tuple[int, ServedEvent]]:
        user = checked_id("user", user)
        expect_whole("after", after)
        query = f"SELECT {_COLUMNS}, position FROM events WHERE user = ? AND position > ? AND type IS NOT ?"
        rows = self._select(f"{query} ORDER BY timestamp, position", user, after, without)
        return [(row[-1], _event(row)) for row in rows]

    @property
    def position(self) -> int:
        return self._select("SELECT ifnull(max(position), 0) FROM events")[0][0]

    def __len__(self) -> int:
        """The number of events."""
        return self.position  # there are no gaps

    def close(self) -> None:
        with self._turn:
            self._turn.wait_for(lambda: not self._committing)
            self._closed = True
            self._close_readers()
            self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _commit_together(self, requests: list[_Request]) -> None:
        """Commits requests in one transaction, or one by one if that fails."""
        try:
            self._commit(requests)
        except StoreError as error:
            if len(requests) == 1:
                requests[0].error = error
            else:  # one may be too large for the disk, and the others not
                for request in requests:
                    self._commit_together([request])
        finally:  # should this thread be interrupted, the others learn it too
            for request in requests:
                if not request.is_done():
                    request.error = StoreError("the append was interrupted; send the events again")

    def _commit(self, requests: list[_Request]) -> None:
        self._expect_open()
        writer = self._writer
        try:
            writer.execute("BEGIN IMMEDIATE")
            newest = writer.execute("SELECT ifnull(max(position), 0) FROM events").fetchone()[0]
            positions: list[list[int]] = []
            for request in requests:
                positions.append([])
                for row in request.rows:
                    inserted = writer.execute(_INSERT, (*row, newest + 1)).rowcount
                    newest += inserted
                    first = newest if inserted else writer.execute(_POSITION_OF, row[:1]).fetchone()[0]
                    positions[-1].append(first)
            writer.execute("COMMIT")
        except sqlite3.Error as error:
            raise StoreError(f"the event log cannot be written now: {error}; send the events again") from None
        finally:
            with suppress(sqlite3.Error):  # a commit that failed leaves its transaction open, or not
                writer.rollback()
        for request, own in zip(requests, positions, strict=True):
            request.positions = own

    def _select(self, query: str, *values: Id) -> list[tuple[Any, ...]]:
        """The rows of a query, on a connection that no other thread is using."""
        self._expect_open()
        reader = None
        try:
            with suppress(IndexError):
                reader = self._readers.pop()
            reader = reader or connect(self._path, "ro", self._lock_seconds)
            rows = reader.execute(query, values).fetchall()
        except sqlite3.Error as error:
            if reader is not None:
                reader.close()
            raise StoreError(f"the event log cannot be read now: {error}") from None
        self._readers.append(reader)
        if self._closed:  # since the query began
            self._close_readers()
        return rows

    def _expect_open(self) -> None:
        if self._closed:
            raise StoreError("the event log is closed")

    def _close_readers(self) -> None:
        with suppress(IndexError):
            while True:
                self._readers.pop().close()


def expect_event(index: int, event: object) -> ServedEvent:
    """An event of a batch, checked to be one."""
    if not isinstance(event, ServedEvent):
        raise InputError(f"events[{index}] should be a ServedEvent, received {type(event).__name__}")
    return event


def expect_whole(name: str, value: object) -> None:
    """Refuses what is not a whole number of 0 to 2**63."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise InputError(f"{name} should be a whole number of at least 0, received {value!r}")


def _row(event: ServedEvent) -> tuple[Any, ...]:
    context = json.dumps(event.context, ensure_ascii=False)
    return event.id, event.user, event.item, event.timestamp, event.type, context


def _event(row: tuple[Any, ...]) -> ServedEvent:
    id, user, item, timestamp, type, context, *_ = row
    return ServedEvent(user, item, timestamp, type, json.loads(context), id)
