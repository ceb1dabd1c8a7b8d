"""Services in processes of their own over Kafka and Redis, which go away and come back."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.serving.http.served import Served, launch, serving, start
from torchrec_ext.serving import KafkaEventStore

pytestmark = pytest.mark.slow


def history(served: Served, user: str) -> list:
    with served.client() as client:
        return [event["item"] for event in client.get(f"/users/{user}").json()["events"]]


def ready(served: Served) -> int:
    with served.client() as client:
        return client.get("/ready").status_code


class Senders:
    """Clients that send batches of events with ids to any of the services until each is acknowledged."""

    def __init__(self, services: list[Served]) -> None:
        self.services, self.acknowledged, self.refused = services, {}, 0
        self.stop, self.pool = threading.Event(), ThreadPoolExecutor(3)
        self.futures = [self.pool.submit(self._send, number) for number in range(3)]

    def _send(self, number: int) -> None:
        sent = 0
        while not self.stop.is_set():
            ids = [f"{number}-{sent}-{place}" for place in range(10)]
            batch = [{"user": f"u{number}", "item": 101 + sent % 30, "id": id} for id in ids]
            while not self._is_acknowledged(ids, batch):
                if self.stop.is_set():
                    return
                time.sleep(0.05)
            sent += 1

    def _is_acknowledged(self, ids: list[str], batch: list[dict]) -> bool:
        served = self.services[int(time.monotonic() * 1000) % len(self.services)]
        try:
            answer = httpx.post(f"{served.url}events", json=batch, timeout=30)
        except httpx.TransportError:  # it was killed
            return False
        assert answer.status_code in (200, 503), answer.text
        if answer.status_code == 503:
            assert answer.headers["retry-after"] == "1" and "cannot be reached now" in answer.json()["error"]
            self.refused += 1
            return False
        self.acknowledged.update(zip(ids, answer.json()["positions"], strict=True))
        return True

    def wait_for_more(self) -> None:
        before, end = len(self.acknowledged), time.monotonic() + 30
        while len(self.acknowledged) < before + 100:
            assert time.monotonic() < end, "the services did not recover"
            assert not any(future.done() for future in self.futures)
            time.sleep(0.02)

    def wait_for_refusals(self) -> None:
        before, end = self.refused, time.monotonic() + 30
        while self.refused < before + 3:
            assert time.monotonic() < end, "the services refused nothing"
            time.sleep(0.02)

    def end(self) -> None:
        self.stop.set()
        for future in self.futures:
            future.result()
        self.pool.shutdown()


def test_services_that_share_a_log_survive_servers_that_go_away(bundle, kafka, redis):
    topic = kafka.topic()
    log = (f"kafka://{kafka.servers}/{topic}", "--users", redis.url)
    services = [start(bundle, *log), start(bundle, *log)]
    senders = Senders(services)
    try:
        senders.wait_for_more()
        for served in services:
            assert history(served, "u0")
        redis.stop()
        try:
            senders.wait_for_refusals()
            for served in services:
                assert ready(served) == 503 and history(served, "u0")  # which is in memory
                with served.client() as client:
                    assert client.post("/recommend", json={"user": "never seen"}).status_code == 503
        finally:
            redis.start()  # it is empty now
        senders.wait_for_more()
        kafka.set_away(True)
        try:
            senders.wait_for_refusals()
            for served in services:
                assert ready(served) == 503
                with served.client() as client:
                    assert client.post("/recommend", json={"user": "never seen"}).status_code == 200
        finally:
            kafka.set_away(False)
        senders.wait_for_more()
        services[0].kill()
        services[0] = start(bundle, *log)
        senders.wait_for_more()
        senders.end()
        assert [ready(served) for served in services] == [200, 200]
        with KafkaEventStore(kafka.servers, topic, redis.url) as store:
            stored = store.after(0, 10**9)
            positions = {event.id: position for position, event in stored}
            assert len(positions) == len(stored)  # nothing counts twice
            assert senders.acknowledged.items() <= positions.items() and len(positions) >= 400
            for user in ("u0", "u1", "u2"):
                wanted = [event.item for _, event in store.of_user(user)][::-1]
                for served in services:
                    found = history(served, user)
                    assert found == wanted[: len(found)] and found
        for served in services:
            served.stop()
    finally:
        senders.stop.set()
        for served in services:
            served.kill()


def test_the_next_list_knows_an_event_that_another_service_has_stored(bundle, kafka, redis):
    log = (f"kafka://{kafka.servers}/{kafka.topic()}", "--users", redis.url)
    with serving(bundle, *log) as first, serving(bundle, *log) as second:
        with first.client() as to_first, second.client() as to_second:
            for item in range(101, 111):
                assert to_first.post("/events", json={"user": "new", "item": item}).status_code == 200
                answer = to_second.post("/recommend", json={"user": "new", "k": 40}).json()
                assert answer["source"] == "model"
                assert item not in [found["item"] for found in answer["items"]]
                assert history(second, "new")[0] == item
        first.stop()
        second.stop()


def test_a_server_that_is_away_at_the_start_is_one_line(bundle, kafka, redis):
    log = f"kafka://{kafka.servers}/{kafka.topic()}"
    for words, message in (
        (("kafka://127.0.0.1:9/events", "--users", redis.url), "Kafka does not answer at 127.0.0.1:9: "),
        ((log, "--users", "redis://127.0.0.1:9/0"), "users cannot be kept in Redis: "),
        ((log,), "events in Kafka need a Redis for the users; add --users "),
    ):
        served = launch(bundle, *words)
        served.process.join(60)
        assert served.process.exitcode == 2
        assert served.errors().startswith(f"serve.py: {message}") and served.errors().count("\n") == 1
