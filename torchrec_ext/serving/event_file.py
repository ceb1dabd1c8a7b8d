"""event_file: the SQLite file of an event log, its table, and how it is recognised."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torchrec_ext.errors import InputError

_APPLICATION_ID = int.from_bytes(b"txev", "big")
_VERSION = 1
# `user` and `item` have no type, so that SQLite neither turns "7" into 7 nor finds the two equal.
_TABLE = (
    """CREATE TABLE events (
        position INTEGER PRIMARY KEY,
        id TEXT UNIQUE,
        user NOT NULL,
        item,
        timestamp REAL NOT NULL,
        type TEXT,
        context TEXT NOT NULL
    )""",
    "CREATE INDEX events_of_user ON events (user, timestamp)",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)


def open_event_file(path: Path, lock_seconds: float) -> sqlite3.Connection:
    """A connection that writes durably, to a file that is an event log or is made one.

    Args:
        path: the file.
        lock_seconds: how long a statement waits for another process.

    Raises:
        InputError: if it cannot be written, or is another file, which stays as it is.
    """
    if os.path.isdir(path):
        raise InputError(f"the event log {path} is a folder; name a file in it")
    if not os.path.isdir(path.parent):
        raise InputError(f"the event log {path} cannot be made: its folder does not exist; make that first")
    connection = None
    try:
        with _opening_alone(path.parent):
            connection = connect(path, "rwc", lock_seconds)
            _prepare(connection, path)
    except (OSError, sqlite3.Error, InputError) as error:
        if connection is not None:
            connection.close()
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"the event log {path} cannot be opened: {error}; expected an event log, or a new file in a "
            f"folder with space and permission to write"
        ) from None
    return connection


def connect(path: Path, mode: str, lock_seconds: float) -> sqlite3.Connection:
    """A connection without implicit transactions, which may serve several threads one after another.

    Args:
        path: the file.
        mode: ``"rwc"`` to write, and make the file if it does not exist; ``"ro"`` to read.
        lock_seconds: how long a statement waits for another process.
    """
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=lock_seconds, isolation_level=None, check_same_thread=False)


@contextmanager
def _opening_alone(folder: Path) -> Iterator[None]:
    """Other processes wait: SQLite does not, but fails, when two turn a new file to WAL mode at once."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("BEGIN")
    _is_new(connection, path)  # before anything is written to a foreign file
    connection.execute("COMMIT")
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise InputError(f"the event log {path} should be on a local disk, which SQLite's WAL mode needs")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("BEGIN IMMEDIATE")  # a file that cannot be written fails here, not at the first event
    if _is_new(connection, path):  # still, now that no other process can make it
        for statement in _TABLE:
            connection.execute(statement)
    connection.execute("COMMIT")


def _is_new(connection: sqlite3.Connection, path: Path) -> bool:
    """Whether the file is empty; refuses a file of another application or version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not (application or version or tables):
        return True
    if application != _APPLICATION_ID:
        raise InputError(f"{path} is a SQLite file, but not an event log; name another file")
    if version != _VERSION:
        raise InputError(
            f"the event log {path} has format {version}, this release reads format {_VERSION}; "
            f"use the release that wrote it, or begin a new log"
        )
    return False
