"""Limits: requests in flight, the size of a body, and what an unexpected error shows."""

import asyncio
import logging
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from fastapi.testclient import TestClient

from torchrec_ext.errors import InputError
from torchrec_ext.serving import Service, StoreError
from torchrec_ext.serving.http import create_app
from torchrec_ext.serving.http.errors import OneLine
from torchrec_ext.serving.http.limits import BodyLimit, Places
from torchrec_ext.serving.http.micro_batches import MicroBatches
from torchrec_ext.serving.http.stalled_connections import StalledConnections

LIST = {"user": 1, "k": 3}


@pytest.fixture
def service(bundle, store):
    return Service(bundle, store)


@pytest.fixture
def held(service, monkeypatch):
    """Lists wait until the event is set; the sizes of the batches that were asked for."""
    free, sizes, recommend_many = threading.Event(), [], service.recommend_many

    def wait(requests):
        sizes.append(len(requests))
        assert free.wait(30)
        return recommend_many(requests)

    monkeypatch.setattr(service, "recommend_many", wait)
    return free, sizes


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_beyond_the_limit_requests_are_refused_at_once(service, held):
    free, sizes = held
    with TestClient(create_app(service, max_in_flight=3)) as client, ThreadPoolExecutor(4) as threads:
        first = threads.submit(client.post, "/recommend", json=LIST)
        until(lambda: sizes == [1])
        more = [threads.submit(client.post, "/recommend", json=LIST) for _ in range(2)]
        until(lambda: "torchrec_ext_in_flight_requests 4.0" in client.get("/metrics").text)
        for answer in (client.post("/recommend", json=LIST), client.get("/users/1")):
            assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
            assert answer.json()["error"] == "too many requests at a time; come again"
        assert client.post("/events", json={"user": 1, "item": 101}).status_code == 200
        for path in ("/health", "/ready", "/metrics", "/", "/page/page.js"):
            assert client.get(path).status_code == 200
        free.set()
        assert [future.result().status_code for future in (first, *more)] == [200] * 3
        assert sizes == [1, 2]  # what waited was computed together
        assert client.post("/recommend", json=LIST).status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_large_body_is_refused_while_it_is_read(chunked, service, store):
    with TestClient(create_app(service, max_body_bytes=1000)) as client:
        for size, status in ((999, 422), (1000, 422), (1001, 413), (10_000_000, 413)):
            body = b" " * size
            content = iter([body[:500], body[500:]]) if chunked else body
            answer = client.post("/events", content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == status, size
        assert answer.json()["error"] == "the body is larger than 1,000 bytes; send less at a time"
    assert len(store) == 0


def test_a_body_without_an_end_takes_bounded_memory_and_time():
    read, answers = 0, []

    async def receive():
        nonlocal read
        read += 2**16
        return {"type": "http.request", "body": b" " * 2**16, "more_body": True}

    async def send(message):
        answers.append(message)

    async def app(scope, receive, send):
        raise AssertionError("the body should not get here")

    scope = {"type": "http", "path": "/events", "headers": [(b"transfer-encoding", b"chunked")]}
    asyncio.run(BodyLimit(app, 1000, Places(1))(scope, receive, send))
    assert answers[0]["status"] == 413 and read < 2**26


def test_a_slow_body_is_refused_and_an_interrupted_one_dropped(monkeypatch):
    monkeypatch.setattr("torchrec_ext.serving.http.limits._BODY_SECONDS", 0.05)
    answers, messages = [], [{"type": "http.request", "body": b'{"user": 1}', "more_body": True}]

    async def receive():
        if messages:
            return messages.pop()
        await asyncio.sleep(60)

    async def send(message):
        answers.append(message)

    async def app(scope, receive, send):
        raise AssertionError("the body should not get here")

    scope = {"type": "http", "path": "/events", "headers": [(b"content-length", b"100")]}
    asyncio.run(BodyLimit(app, 1000, Places(1))(scope, receive, send))
    assert answers[0]["status"] == 408
    answers.clear()
    messages.append({"type": "http.disconnect"})
    asyncio.run(BodyLimit(app, 1000, Places(1))(scope, receive, send))
    assert answers == []


def test_an_unexpected_error_shows_neither_path_nor_stack(service, monkeypatch, caplog):
    def fail(requests):
        raise RuntimeError("cannot read /secret/place")

    monkeypatch.setattr(service, "recommend_many", fail)
    with TestClient(create_app(service)) as client, caplog.at_level(logging.INFO, "torchrec_ext"):
        monkeypatch.setattr(logging.getLogger("torchrec_ext"), "propagate", True)
        answer = client.post("/recommend", json=LIST)
        assert answer.status_code == 500
        found = answer.json()
        assert found["error"] == "an unexpected error of the service" and re.fullmatch(r"\w{12}", found["id"])
        assert f"error {found['id']}: RuntimeError in {__name__}.fail" in caplog.text
        assert "/secret" not in caplog.text + answer.text and "Traceback" not in caplog.text
        assert client.get("/health").json()["status"] == "ok"


def test_a_log_of_a_library_has_one_line_of_a_fault_and_no_trace(caplog):
    library = logging.getLogger("a library")
    library.addFilter(OneLine())
    for message in ("out of files\nin /secret/place", "out of files\nin /secret/place", "another fault"):
        try:
            raise OSError("/secret/place")
        except OSError:
            library.exception(message)
    assert caplog.messages == ["out of files (OSError)", "another fault (OSError)"]
    assert "Traceback" not in caplog.text and "/secret" not in caplog.text


class Fields:
    """An object with these fields, that is equal to no other."""

    def __init__(self, **fields) -> None:
        vars(self).update(fields)


def test_connections_are_closed_whose_client_stalls():
    clock, closed = Fields(now=0.0), []

    def connection(name: str, cycle, write_paused: bool = False) -> Fields:
        transport = Fields(abort=lambda: closed.append(name))
        return Fields(cycle=cycle, transport=transport, flow=Fields(write_paused=write_paused))

    active = connection("active", Fields(response_complete=True))
    others = [
        connection("silent", None), connection("busy", Fields(response_complete=False)),
        connection("idle", Fields(response_complete=True)),
        connection("unread", Fields(response_complete=False), write_paused=True),
    ]  # fmt: skip
    stalled = StalledConnections([active, *others], 10, clock=lambda: clock.now)
    for seconds, names in ((0, []), (4, []), (10, []), (10.5, ["silent", "idle", "unread"])):
        clock.now, active.cycle = seconds, Fields(response_complete=True)  # which sends another request
        asyncio.run(stalled.close())
        assert closed == names


def test_a_store_that_cannot_be_used_is_503_and_recovers(service, store, monkeypatch):
    def fail(*_):
        raise StoreError("the event log cannot be written now: the disk is full; send the events again")

    with TestClient(create_app(service)) as client:
        with monkeypatch.context() as patch:
            patch.setattr(store, "append", fail)
            answer = client.post("/events", json={"user": 1, "item": 101, "id": "a"})
            assert answer.status_code == 503 and "disk is full" in answer.json()["error"]
            assert answer.headers["retry-after"] == "1"
            assert client.post("/recommend", json=LIST).status_code == 200
        assert client.post("/events", json={"user": 1, "item": 101, "id": "a"}).json() == {"positions": [1]}
        store.close()
        assert client.get("/ready").status_code == 503
        assert client.get("/health").json()["position"] is None


def test_one_request_of_a_batch_cannot_fail_the_others():
    free, batches = threading.Event(), []

    def compute(numbers):
        batches.append(len(numbers))
        if len(batches) == 1:
            assert free.wait(20)
        if 3 in numbers:
            raise RuntimeError("three")
        return [InputError("two") if number == 2 else number * 10 for number in numbers]

    async def main():
        with MicroBatches(compute) as batch:
            first = asyncio.create_task(batch(0))
            while not batches:
                await asyncio.sleep(0.01)
            rest = [asyncio.create_task(batch(number)) for number in (1, 2, 3, 4)]
            await asyncio.sleep(0.05)
            free.set()
            return await asyncio.gather(first, *rest, return_exceptions=True)

    found = asyncio.run(main())
    assert [str(answer) for answer in found] == ["0", "10", "two", "three", "40"]
    assert batches == [1, 4, 1, 1, 1, 1]


def test_a_batch_is_bounded_and_a_cancelled_request_disturbs_nobody():
    sizes = []

    async def main():
        with MicroBatches(lambda numbers: numbers, most=8, observe=sizes.append) as batch:
            tasks = [asyncio.create_task(batch(number)) for number in range(100)]
            await asyncio.sleep(0)
            tasks[5].cancel()
            found = await asyncio.gather(*tasks, return_exceptions=True)
            return [answer for place, answer in enumerate(found) if place != 5]

    assert asyncio.run(main()) == [number for number in range(100) if number != 5]
    assert max(sizes) <= 8 and sum(sizes) == 100
