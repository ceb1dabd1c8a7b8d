"""The service in a process of its own: overload, a swap under load, kill -9, large bodies, an orderly end."""

import os
import random
import re
import resource
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import httpx
import pytest

from tests.serving.http.served import memory, serving, start, write_bundle
from torchrec_ext.serving import SqliteEventStore

TOKEN = "0123456789abcdef0123"
LIST = {"user": 2, "k": 5}
HEAD = "POST /events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def post_until(stop, served, path, body, headers=None) -> list[tuple[int, float]]:
    """Status and seconds of requests that one client sends one after another."""
    found = []
    with served.client(headers=headers) as client:
        while not stop.is_set():
            begin = time.perf_counter()
            found.append((client.post(path, json=body).status_code, time.perf_counter() - begin))
    return found


@pytest.mark.slow
def test_a_swap_under_load_fails_no_request(bundle, tmp_path):
    folder = bundle.parent
    if not (folder / "second").exists():
        write_bundle(folder / "second", "sasrec")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(0o600)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    log = tmp_path / "events.sqlite"
    with serving(bundle, log, "--token-file", tmp_path / "token") as served, ThreadPoolExecutor(4) as threads:
        stop = threading.Event()
        lists = [threads.submit(post_until, stop, served, "/recommend", LIST, headers) for _ in range(3)]
        events = threads.submit(post_until, stop, served, "/events", {"user": 2, "item": 101}, headers)
        with served.client(headers=headers) as client:
            for name in ("second", "first", "second"):
                time.sleep(0.3)
                assert client.post("/bundle", json={"bundle": name}).status_code == 200
                assert client.get("/health").json()["bundle"] == name
        stop.set()
        found = [status for future in (*lists, events) for status, _ in future.result()]
        assert {*found} == {200} and len(found) > 50
        served.stop()
    with SqliteEventStore(log) as store:
        assert len(store) == len(events.result())


@pytest.mark.slow
def test_an_approximate_index_serves_and_says_its_recall(bundle, tmp_path):
    pytest.importorskip("faiss", reason="approximate indexes need faiss-cpu")
    with serving(bundle, tmp_path / "events.sqlite", "--index", "hnsw") as served, served.client() as client:
        assert len(client.post("/recommend", json=LIST).json()["items"]) == 5
        assert client.get("/health").json()["bundle"] == "first"
        assert "recall@10" in served.errors()


@pytest.mark.slow
def test_overload_is_refused_without_growth(bundle, tmp_path):
    with serving(bundle, tmp_path / "events.sqlite", "--max-in-flight", 2) as served:
        stop = threading.Event()
        with ThreadPoolExecutor(12) as threads:
            futures = [threads.submit(post_until, stop, served, "/recommend", LIST) for _ in range(12)]
            time.sleep(2)
            before = memory(served.process.pid)
            time.sleep(3)
            grown = memory(served.process.pid) - before
            stop.set()
            found = [status for future in futures for status, _ in future.result()]
        assert {*found} == {200, 503} and found.count(200) > 20
        assert grown < 20 * 2**20
        with served.client() as client:
            assert client.post("/recommend", json=LIST).status_code == 200


def test_a_large_body_gets_its_answer_over_a_socket(bundle, tmp_path):
    with serving(bundle, tmp_path / "events.sqlite") as served, served.client() as client:
        before = memory(served.process.pid)
        for content in (b" " * 10_000_000, iter([b" " * 100_000] * 100)):
            answer = client.post("/events", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413 and "larger than" in answer.json()["error"]
        assert memory(served.process.pid) - before < 30 * 2**20
        address = httpx.URL(served.url)
        with socket.create_connection((address.host, address.port)) as raw:
            raw.sendall(b"POST /events HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 413 ")
        with socket.create_connection((address.host, address.port)) as raw:
            raw.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
            assert raw.recv(4096).startswith(b"HTTP/1.1 400 ")
        assert client.get("/health").status_code == 200


def test_a_head_without_an_end_takes_bounded_memory(bundle, tmp_path):
    pytest.importorskip("httptools", reason="over h11 uvicorn has a limit of its own")
    with serving(bundle, tmp_path / "events.sqlite") as served, served.client() as client:
        address, before = httpx.URL(served.url), memory(served.process.pid)
        for begin, more in (
            (b"GET / HTTP/1.1\r\nHost: x\r\n", b"X: %s\r\n" % (b"a" * 9990) * 100),
            (b"GET /", b"a" * 1_000_000),
            (b"", b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 30_000),
        ):
            with socket.create_connection((address.host, address.port), timeout=20) as raw:
                raw.sendall(begin)
                with pytest.raises(OSError):  # the service has closed it
                    for _ in range(60):
                        raw.sendall(more)
        assert memory(served.process.pid) - before < 20 * 2**20
        with socket.create_connection((address.host, address.port), timeout=20) as raw:
            raw.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n" * 10)  # some ahead are answered
            found = b""
            while found.count(b'"status":"ok"') < 10:
                found += raw.recv(2**16)
        assert client.get("/health", headers={"X": "a" * 30_000}).status_code == 200
        assert "Traceback" not in served.errors() and served.errors().count("\n") < 2


def test_slow_clients_take_nobodys_place(bundle, tmp_path):
    with serving(bundle, tmp_path / "events.sqlite", "--max-in-flight", 2) as served, ExitStack() as slow:
        address = httpx.URL(served.url)
        for path in ["recommend", "events"] * 10:
            raw = slow.enter_context(socket.create_connection((address.host, address.port)))
            head = HEAD.replace("events", path)
            raw.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.2)
        with served.client() as client:
            assert client.post("/recommend", json=LIST).status_code == 200
            assert client.post("/events", json={"user": 2, "item": 101}).status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_end_answers_what_was_accepted(number, bundle, tmp_path):
    log = tmp_path / "events.sqlite"
    with serving(bundle, log) as served:
        batches, acknowledged = [[{"user": 2, "item": 101}] * 500] * 8, []

        def send(batch) -> None:
            with served.client() as client, suppress(httpx.TransportError):  # it was not accepted any more
                acknowledged.extend(client.post("/events", json=batch).json()["positions"])

        with ThreadPoolExecutor(8) as threads:
            futures = [threads.submit(send, batch) for batch in batches]
            time.sleep(0.1)
            os.kill(served.process.pid, number)
            for future in futures:
                future.result()
        served.process.join(30)
        assert served.process.exitcode == 0 and served.errors() == ""
    assert not list(tmp_path.glob("events.sqlite-*"))  # closed, so nothing is left beside the file
    with SqliteEventStore(log) as store:
        assert {*acknowledged} <= set(range(1, len(store) + 1)) and len(acknowledged) <= len(store)


@pytest.mark.slow
def test_a_full_disk_loses_nothing_and_is_503(bundle, tmp_path):
    log = tmp_path / "events.sqlite"
    with serving(bundle, log) as served, served.client() as client:

        def send(number: int) -> httpx.Response:
            events = [{"user": 2, "item": 101, "id": f"{number}-{place}"} for place in range(100)]
            return client.post("/events", json=events)

        pid, unlimited = served.process.pid, resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (300_000, unlimited[1]))  # stands in for a full disk
        acknowledged, failed = [], []
        for number in range(60):
            answer = send(number)
            if answer.status_code == 200:
                acknowledged += answer.json()["positions"]
            else:
                failed.append(number)
                assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
                assert re.match(
                    "the event log cannot be written now: (disk I/O|data)", answer.json()["error"]
                )
        assert failed and acknowledged
        assert client.post("/recommend", json=LIST).status_code == 200
        resource.prlimit(pid, resource.RLIMIT_FSIZE, unlimited)
        for number in failed:
            acknowledged += send(number).json()["positions"]
        assert acknowledged == list(range(1, 6001))
        served.stop()
    with SqliteEventStore(log) as store:
        assert [position for position, _ in store.after(0, 10**4)] == acknowledged


@pytest.mark.slow
def test_more_connections_than_files_leave_one_line_in_the_log(bundle, tmp_path):
    with serving(bundle, tmp_path / "events.sqlite") as served, ExitStack() as silent, served.client() as old:
        assert old.get("/health").status_code == 200
        most = len(os.listdir(f"/proc/{served.process.pid}/fd")) + 20
        resource.prlimit(served.process.pid, resource.RLIMIT_NOFILE, (most, most))
        address = httpx.URL(served.url)
        for _ in range(100):
            silent.enter_context(socket.create_connection((address.host, address.port)))
        time.sleep(1.5)
        assert old.post("/recommend", json=LIST).status_code == 200
        silent.close()
        with served.client() as new:
            assert new.post("/events", json={"user": 2, "item": 101}).status_code == 200
        assert len(served.errors().splitlines()) == 1 and "out of system resource" in served.errors()


@pytest.mark.slow
def test_a_client_that_has_not_sent_its_body_does_not_hinder_the_end(bundle, tmp_path):
    with serving(bundle, tmp_path / "events.sqlite") as served, ExitStack() as clients:
        address = httpx.URL(served.url)
        for head in ("", "POST /events HTTP/1.1\r\nHost: x\r\n", f"{HEAD}Content-Length: 9\r\n\r\n{{"):
            raw = clients.enter_context(socket.create_connection((address.host, address.port)))
            raw.sendall(head.encode())
        time.sleep(0.2)
        served.stop()
        assert raw.recv(100).startswith(b"HTTP/1.1 408 ")


def kill_at_random_moments(bundle, log, kills: int, seed: int) -> None:
    """Clients send batches of events with ids, and send them again until they are acknowledged."""
    rng, clients, acknowledged = random.Random(seed), 3, {}
    current, stop = {}, threading.Event()

    def send(number: int) -> None:
        sent, client = 0, httpx.Client(timeout=10)
        while not stop.is_set():
            ids = [f"{number}-{sent}-{place}" for place in range(10)]
            batch = [{"user": f"u{number}", "item": 101 + sent % 30, "id": id} for id in ids]
            while True:
                try:
                    answer = client.post(f"{current['url']}events", json=batch)
                except httpx.TransportError:
                    if stop.is_set():
                        return
                    time.sleep(0.05)
                    continue
                assert answer.status_code == 200, answer.text
                acknowledged.update(zip(ids, answer.json()["positions"], strict=True))
                break
            sent += 1

    served = start(bundle, log)
    current["url"] = served.url
    with ThreadPoolExecutor(clients) as threads:
        futures = [threads.submit(send, number) for number in range(clients)]
        for _ in range(kills):
            time.sleep(rng.uniform(0.05, 0.6))
            served.kill()
            served = start(bundle, log)
            current["url"] = served.url
        time.sleep(0.3)
        stop.set()
        for future in futures:
            future.result()
    served.kill()
    with SqliteEventStore(log) as store:
        stored = store.after(0, 10**9)
    assert [position for position, _ in stored] == list(range(1, len(stored) + 1))
    positions = {event.id: position for position, event in stored}
    assert len(positions) == len(stored)  # nothing is there twice
    assert acknowledged.items() <= positions.items() and len(acknowledged) > 10 * kills


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9(bundle, tmp_path):
    kill_at_random_moments(bundle, tmp_path / "events.sqlite", kills=5, seed=0)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_or_doubled_by_kill_9_at_50_moments(bundle, tmp_path):
    kill_at_random_moments(bundle, tmp_path / "events.sqlite", kills=50, seed=1)
