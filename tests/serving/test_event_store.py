import fcntl
import os
import random
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.errors import InputError
from torchrec_ext.serving import EventStore, ServedEvent, SqliteEventStore, StoreError


@pytest.fixture
def path(tmp_path):
    return tmp_path / "events #1?.sqlite"


@pytest.fixture
def store(path):
    with SqliteEventStore(path) as store:
        yield store


def click(user="ann", item=1, timestamp=0.0, **fields):
    return ServedEvent(user, item, timestamp, **fields)


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
ids = words | st.integers(-(2**63), 2**63 - 1)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner) | st.dictionaries(words, inner),
    max_leaves=5,
)
events = st.builds(
    ServedEvent,
    user=ids,
    item=st.none() | ids,
    timestamp=st.floats(allow_nan=False, allow_infinity=False),
    type=st.none() | words,
    context=st.dictionaries(words, plain, max_size=3),
    id=st.none() | words,
)


@settings(max_examples=40, deadline=None)
@given(st.lists(events, max_size=8))
def test_events_come_back_as_they_were_appended(batch):
    with tempfile.TemporaryDirectory() as folder:
        with SqliteEventStore(Path(folder, "events")) as store:
            positions = store.append(batch)
        first = {}
        for position, event in zip(positions, batch, strict=True):
            first.setdefault(position, event)
        with SqliteEventStore(Path(folder, "events")) as store:
            assert store.after(0, 100) == list(first.items())
            assert list(first) == list(range(1, len(store) + 1))
            for _, event in store.after(0, 100):
                (newest,) = store.last(event.user, 1)
                assert type(newest.user) is type(event.user) and newest.timestamp >= event.timestamp


def test_positions_have_no_gaps_under_eight_threads(store):
    def client(name):
        return [store.append([click(id=f"{name}-{i}-{k}") for k in range(1 + i % 4)]) for i in range(50)]

    with ThreadPoolExecutor(8) as pool:
        batches = [batch for batches in pool.map(client, range(8)) for batch in batches]
    for batch in batches:
        assert batch == list(range(batch[0], batch[0] + len(batch)))
    assert sorted(sum(batches, [])) == list(range(1, store.position + 1))
    assert len(store) == store.position == len(store.after(0, 10_000))


def test_waiting_appends_share_a_commit(store):
    syncs = []
    store._writer.set_trace_callback(lambda sql: syncs.append(sql) if sql == "COMMIT" else None)
    other = sqlite3.connect(store._path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # the first append waits for this one, the others for the first
    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(store.append, [click()])
        while not store._committing:
            time.sleep(0.001)
        later = [pool.submit(store.append, [click(), click()]) for _ in range(8)]
        while len(store._requests) < 8:
            time.sleep(0.001)
        other.execute("ROLLBACK")
    assert first.result() == [1] and sorted(sum([f.result() for f in later], [])) == list(range(2, 18))
    assert len(syncs) == 2
    other.close()


def test_last_reads_the_index_alone_in_its_order(store):
    plan = store._select(
        "EXPLAIN QUERY PLAN SELECT item FROM events "
        "WHERE user = ? ORDER BY timestamp DESC, position DESC LIMIT ?", "ann", 5
    )  # fmt: skip
    assert [step[-1] for step in plan] == ["SEARCH events USING INDEX events_of_user (user=?)"]


def test_reading_does_not_wait_for_a_commit(store):
    store.append([click()])
    store._writer.execute("BEGIN IMMEDIATE")
    store._writer.execute("DELETE FROM events")
    assert (len(store), len(store.last("ann", 9)), len(store.after(0, 9))) == (1, 1, 1)
    store._writer.execute("ROLLBACK")


def test_a_commit_is_synced_to_the_disk(store):
    assert store._writer.execute("PRAGMA synchronous").fetchone() == (2,)
    assert store._writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_store_serves_many_threads_after_another_and_closes(path):
    store: EventStore = SqliteEventStore(path)
    store.append([click()])
    for _ in range(20):
        thread = threading.Thread(target=store.last, args=("ann", 1))
        thread.start()
        thread.join()
    assert len(list(Path("/proc/self/fd").iterdir())) < 100
    store.close()
    store.close()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    for call in (lambda: store.append([click()]), lambda: store.after(0, 1), lambda: len(store)):
        with pytest.raises(StoreError, match=r"^the event log is closed$"):
            call()


def test_two_processes_may_write_to_one_file(path):
    code = (
        "import sys; from torchrec_ext.serving import ServedEvent, SqliteEventStore\n"
        "with SqliteEventStore(sys.argv[1]) as store:\n"
        "    for i in range(30): store.append([ServedEvent(1, 2, 3.0), ServedEvent(1, 2, 4.0)])"
    )
    children = [subprocess.Popen([sys.executable, "-c", code, path]) for _ in range(3)]
    assert [child.wait(60) for child in children] == [0, 0, 0]
    with SqliteEventStore(path) as store:
        assert [position for position, _ in store.after(0, 999)] == list(range(1, 181))


def test_many_may_open_a_new_file_at_once(tmp_path):
    def open_and_append(barrier, path):
        barrier.wait()
        with SqliteEventStore(path) as store:
            return store.append([click()])

    with ThreadPoolExecutor(6) as pool:
        for attempt in range(3):
            barrier = threading.Barrier(6)
            futures = [pool.submit(open_and_append, barrier, tmp_path / f"{attempt}") for _ in range(6)]
            assert sorted(future.result()[0] for future in futures) == [1, 2, 3, 4, 5, 6]


def test_opening_waits_for_another_opening(path):
    folder = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    with ThreadPoolExecutor(1) as pool:
        opening = pool.submit(SqliteEventStore, path)
        time.sleep(0.1)
        assert not opening.done() and not path.exists()
        os.close(folder)
        opening.result().close()


# Three threads append batches with ids; each line says what was acknowledged: thread, batch, positions.
APPENDS = """
import os, sys, threading
from torchrec_ext.serving import ServedEvent, SqliteEventStore
run, store = sys.argv[2], SqliteEventStore(sys.argv[1])
def client(thread):
    batch = 0
    while True:
        size = 1 + (batch + thread) % 5
        ids = [f"{run}-{thread}-{batch}-{k}" for k in range(size)]
        positions = store.append([ServedEvent("ann", 1, 2.0, id=id) for id in ids])
        os.write(1, (" ".join(map(str, [*ids, *positions])) + "\\n").encode())
        batch += 1
for thread in range(3):
    threading.Thread(target=client, args=(thread,)).start()
"""


def killed_at_random(path, kills):
    chance = random.Random(kills)
    acknowledged = {}
    for run in range(kills):
        child = subprocess.Popen(
            [sys.executable, "-c", APPENDS, path, str(run)], stdout=subprocess.PIPE, text=True
        )
        lines = []
        if chance.random() < 0.8:  # otherwise it may die while it opens the file
            lines.append(child.stdout.readline())
        time.sleep(chance.uniform(0, 0.15))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        for line in lines:
            words = line.split()
            half = len(words) // 2
            acknowledged |= zip(words[:half], map(int, words[half:]), strict=True)
    with SqliteEventStore(path) as store:
        logged = store.after(0, 10**6)
        assert [position for position, _ in logged] == list(range(1, len(logged) + 1))
        position_of = {event.id: position for position, event in logged}
        assert len(position_of) == len(logged)
        assert {id: position_of.get(id) for id in acknowledged} == acknowledged
        assert len(acknowledged) > 10 * kills
        # Clients deliver all again, what was acknowledged and what was not.
        assert store.append([event for _, event in logged]) == list(range(1, len(logged) + 1))
        assert len(store) == len(logged)


def test_nothing_acknowledged_is_lost_after_kill_9(path):
    killed_at_random(path, 10)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_after_50_times_kill_9(path):
    killed_at_random(path, 50)


# The limit of a file's size stands in for a full disk: writes fail half way through.
FILLS_THE_DISK = """
import resource, sys
from torchrec_ext.serving import ServedEvent, SqliteEventStore, StoreError
def batch(): return [ServedEvent("ann", i, 2.0, context={"text": "x" * 200}) for i in range(10)]
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
with SqliteEventStore(sys.argv[1]) as store:
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, unlimited[1]))
    acknowledged, failures = [], []
    while len(failures) < 3:
        try:
            acknowledged += store.append(batch())
        except StoreError as error:
            failures.append(str(error))
    print(failures[0])
    assert acknowledged == list(range(1, len(acknowledged) + 1)) and len(acknowledged) > 100, acknowledged
    assert len(store) == len(acknowledged) and len(store.last("ann", 10)) == 10
    resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    for _ in range(200):
        acknowledged += store.append(batch())
with SqliteEventStore(sys.argv[1]) as store:
    assert [position for position, _ in store.after(0, 10**6)] == acknowledged
"""


def test_a_full_disk_loses_nothing_and_appending_goes_on_after(path):
    child = subprocess.run(
        [sys.executable, "-c", FILLS_THE_DISK, path], capture_output=True, text=True, timeout=60
    )
    assert child.returncode == 0, child.stderr
    reason = "(disk I/O error|database or disk is full)"
    message = f"the event log cannot be written now: {reason}; send the events again"
    assert re.fullmatch(message, child.stdout.strip())


def test_an_append_that_sqlite_refuses_does_not_fail_those_it_is_joined_with(store):
    store._writer.execute(
        "CREATE TEMP TRIGGER refusal BEFORE INSERT ON main.events WHEN NEW.item = 13 "
        "BEGIN SELECT RAISE(ABORT, 'no room for it'); END"
    )
    with closing(sqlite3.connect(store._path, isolation_level=None)) as other, ThreadPoolExecutor(4) as pool:
        other.execute("BEGIN IMMEDIATE")  # the first append waits for this one, the others for the first
        pool.submit(store.append, [click()])
        while not store._committing:
            time.sleep(0.001)
        refused = pool.submit(store.append, [click(), click(item=13)])
        others = [pool.submit(store.append, [click()]) for _ in range(2)]
        while len(store._requests) < 3:
            time.sleep(0.001)
        other.execute("ROLLBACK")
    with pytest.raises(StoreError, match="no room for it"):
        refused.result()
    assert sorted(future.result()[0] for future in others) == [2, 3] and len(store) == 3


def test_a_log_locked_by_another_process_is_a_store_error(path):
    with SqliteEventStore(path, lock_seconds=0.01) as store:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match="cannot be written now: database is locked; send the events again"
        ):
            store.append([click()])
        other.close()
        assert store.append([click()]) == [1]


def other_version(path):
    SqliteEventStore(path).close()
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 9")


def other_application(path):
    with closing(sqlite3.connect(path)) as file:
        file.execute("CREATE TABLE events (a)")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (Path.mkdir, "is a folder; name a file in it"),
        (lambda path: path.write_text("user,item\n1,2\n" * 99), "cannot be opened: file is not a database"),
        (other_application, "is a SQLite file, but not an event log"),
        (other_version, "has format 9, this release reads format 1"),
    ],
)
def test_another_file_is_refused_and_left_as_it_is(path, make, message):
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(InputError, match=message) as error:
        SqliteEventStore(path)
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert before == (path.read_bytes() if path.is_file() else None)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_a_path_without_its_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="its folder does not exist"):
        SqliteEventStore(tmp_path / "missing" / "events")


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_folder_is_refused(exists):
    with tempfile.TemporaryDirectory() as folder:  # tmp_path is closed to the user whom root becomes here
        path = Path(folder, "events")
        if exists:
            SqliteEventStore(path).close()
            path.chmod(0o444)
        os.chmod(folder, 0o555)
        user = os.geteuid()
        os.seteuid(user or 65534)  # permissions do not stop root
        try:
            with pytest.raises(InputError, match=r"cannot be opened: .*permission to write$"):
                SqliteEventStore(path)
        finally:
            os.seteuid(user)
            os.chmod(folder, 0o755)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"user": ""}, "user should not be an empty string"),
        ({"user": None}, "user should be a string or an integer, received None"),
        ({"user": True}, "user should be a string or an integer, received True"),
        ({"user": 2**63}, "user should be an integer of 64 bits, received 9223372036854775808"),
        ({"user": 10**5000}, "user should be an integer of 64 bits, received a value of type int"),
        ({"user": "\ud800"}, r"user should be valid Unicode, received '\\ud800'"),
        ({"item": 1.5}, "item should be a string or an integer, received 1.5"),
        ({"item": "x" * 999 + "\ud800"}, r"item should be valid Unicode, received 'x{76}\.\.\.$"),
        ({"timestamp": float("nan")}, "timestamp should be a finite number of seconds, received nan"),
        ({"timestamp": 10**400}, "timestamp should be a finite number of seconds, received 1000"),
        ({"timestamp": "now"}, "timestamp should be a number of seconds since 1970, received 'now'"),
        ({"timestamp": True}, "timestamp should be a number of seconds since 1970, received True"),
        ({"type": 3}, "type should be a string or None, received 3"),
        ({"id": 3}, "id should be a string or None, received 3"),
        ({"id": ""}, "id should not be an empty string"),
        ({"context": [1]}, r"context should be a mapping of JSON values, received \[1\]"),
        ({"context": {"a": float("nan")}}, "context should hold JSON values only: Out of range float"),
        ({"context": {"a": {1}}}, "context should hold JSON values only: Object of type set"),
        ({"context": {"a": "\ud800"}}, "context should hold JSON values only: 'utf-8' codec"),
        ({"context": {1: 2}}, "context should have string keys, and lists for tuples"),
        ({"context": {"a": (1, 2)}}, "context should have string keys, and lists for tuples"),
    ],
)
def test_a_wrong_field_is_named(fields, message):
    with pytest.raises(InputError, match=f"^{message}") as error:
        click(**fields)
    assert "\n" not in str(error.value)


def test_a_context_has_at_most_32_levels():
    deep = {}
    for _ in range(31):
        deep = {"a": deep}
    assert click(context=deep).context == deep
    circle = []
    circle.append(circle)
    for context in ({"a": deep}, {"a": [deep]}, {"a": circle}):
        with pytest.raises(InputError, match="^context should have at most 32 levels of lists and mappings$"):
            click(context=context)


def test_a_context_is_copied():
    context = {"tags": [1]}
    event = click(context=context)
    context["tags"].append(2)
    assert event.context == {"tags": [1]}
