"""KafkaEventStore: what several machines share, and what remains while one of the servers is away."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from torchrec_ext.errors import InputError
from torchrec_ext.serving import KafkaEventStore, ServedEvent, StoreError, open_event_store
from torchrec_ext.serving.kafka_topic import KafkaTopic
from torchrec_ext.serving.redis_users import RedisUserEvents


def click(user="ann", item=1, timestamp=0.0, **fields):
    return ServedEvent(user, item, timestamp, **fields)


def message(event: ServedEvent) -> bytes:
    return json.dumps(vars(event)).encode()


def behind(store) -> KafkaTopic:
    """The topic of a store, as somebody reaches it who does not go through the store."""
    return store._topic


def items(store, user="ann"):
    return [event.item for _, event in store.of_user(user)]


def empty(store):
    """Takes from Redis what it holds of the topic of a store."""
    redis = store._users._redis
    redis.delete(*redis.scan_iter(f"{store._users._key}*"))


def test_events_come_back_as_they_were_appended(open_kafka):
    batch = [
        click("ann", -(2**63), -1.5, type="wörd", context={"a": [1, None, {"b": 0.1}], "\n": "'\""}, id="x"),
        click(2**63 - 1, None, 1e308, context={"big": 10**300}),
        click("7 'a'\n", "\u2028\x00"),
    ]
    store = open_kafka()
    assert store.append(batch) == [1, 2, 3]
    assert [event for _, event in open_kafka().after(0, 9)] == batch
    for event in batch:
        assert store.last(event.user, 1) == [event]


def test_equal_events_without_an_id_all_count(open_kafka):
    store = open_kafka()
    assert store.append([click()] * 3) == [1, 2, 3]
    assert [position for position, _ in store.of_user("ann", 1)] == [2, 3]
    assert store.of_user("ann", without="click") == store.of_user("ann")


def test_an_id_that_was_delivered_twice_at_a_time_counts_once(open_kafka):
    store, other = open_kafka(), open_kafka()
    store.append([click(item=1, id="a")])
    behind(other).append([message(click(item=2, id="a")), message(click(item=3, id="b"))])
    assert store.position == 3 and items(store) == [1, 3]
    behind(other).append([message(click(item=4, id="b"))])
    assert other.append([click(item=5, id="a"), click(item=6, id="b"), click(item=7, id="c")]) == [1, 3, 5]
    assert items(store) == [1, 3, 7]
    assert [(position, event.item) for position, event in store.after(0, 9)] == [(1, 1), (3, 3), (5, 7)]
    assert [position for position, _ in store.after(1, 1)] == [3]
    behind(other).append([message(click(item=8, id="c"))])
    assert store.position == 5  # that of an event which counts


def test_redis_is_filled_again_from_the_topic(open_kafka):
    store, ids = open_kafka(), [f"id-{number}" for number in range(2500)]
    assert store.append([click(number % 3, number, id=id) for number, id in enumerate(ids)])[-1] == 2500
    before = store.of_user(1)
    assert len(before) == 833
    empty(store)
    assert store.of_user(1) == before
    empty(store)
    assert store.append([click(1, 9999, id=ids[-1]), click(1, 9999, 1.0, id="new")]) == [2500, 2502]
    assert store.of_user(1)[:-1] == before
    empty(store)
    assert open_kafka().of_user(1)[:-1] == before


def test_what_a_killed_process_left_in_the_topic_is_known_with_the_next_event(open_kafka):
    store = open_kafka()
    behind(store).append([message(click(item=1, id="a"))])  # and nothing in Redis
    assert store.append([click(item=2)]) == [2]
    assert items(store) == [1, 2]
    assert store.append([click(item=3, id="a")]) == [1]


def test_messages_that_are_no_events_are_passed_over(open_kafka):
    store = open_kafka()
    behind(store).append([b"", b"[1]", b"\xff", b'{"user": 1}', b'{"user": "", "item": 1, "timestamp": 0}'])
    behind(store).append([message(click(item=7))])
    assert store.position == 6 and items(open_kafka()) == [7]
    assert [position for position, _ in store.after(0, 9)] == [6]


def test_stores_that_append_at_once_lose_and_double_nothing(open_kafka):
    stores = [open_kafka() for _ in range(3)]

    def client(number):
        store, found = stores[number % 3], []
        for batch in range(20):
            events = [click(number, batch, id=f"{number // 2}-{batch}-{place}") for place in range(5)]
            found += store.append(events)  # as another client too
            assert {batch} <= {event.item for _, event in store.of_user(number)} | {
                event.item for _, event in store.of_user(number ^ 1)
            }
        return found

    with ThreadPoolExecutor(6) as pool:
        positions = [*pool.map(client, range(6))]
    assert positions[0] == positions[1] and positions[2] == positions[3] and positions[4] == positions[5]
    stored = stores[0].after(0, 10**6)
    assert [position for position, _ in stored] == sorted({*sum(positions, [])})
    assert len({event.id for _, event in stored}) == len(stored) == 300
    for user in range(6):
        assert stores[1].of_user(user) == [pair for pair in stored if pair[1].user == user]


def test_the_newest_events_of_a_user_are_kept_without_exposures(open_kafka, redis, kafka):
    users = RedisUserEvents(redis.url, kafka.topic(), most=3)
    assert users.add([(place, "ann", "", b"%d" % place) for place in range(1, 6)], 0, 5) == 5
    assert users.of("ann", 0) == (5, [(3, b"3"), (4, b"4"), (5, b"5")])
    assert users.add([(5, "ann", "", b"again"), (6, "ann", "", b"6")], 4, 6) == 6
    assert users.add([(9, "ann", "", b"too early")], 8, 9) == 6
    assert users.of("ann", 4) == (6, [(5, b"5"), (6, b"6")]) and users.state() == (6, 6)
    users.close()
    store = open_kafka()
    assert store.append([click(), click(item=None, type="exposure")]) == [1, 2]
    assert items(store) == [1] and len(store.after(0, 9)) == store.position == 2


def test_an_event_that_is_too_large_is_named(open_kafka):
    store = open_kafka()
    with pytest.raises(InputError, match=r"events\[1\] has 1,000,\d+ bytes as JSON; 900,000 are possible"):
        store.append([click(), click(context={"a": "x" * 10**6})])
    assert store.append([click(context={"a": "x" * 890_000})] * 3) == [1, 2, 3]


def test_events_that_the_topic_has_lost_are_not_passed_over_in_silence(open_kafka, kafka):
    store = open_kafka()
    topic = behind(store).name
    store.append([click(item=item) for item in range(5)])
    kafka.delete_before(topic, 3)
    assert [position for position, _ in store.after(3, 9)] == [4, 5]
    with pytest.raises(StoreError, match="the topic has lost the events from position 3 to 3"):
        store.after(2, 9)


def test_nothing_is_stored_while_redis_is_away(kafka, redis):
    topic = kafka.topic()
    with KafkaEventStore(kafka.servers, topic, redis.url) as store:
        store.append([click(item=1, id="a")])
        redis.stop()
        try:
            for call in (
                lambda: store.append([click(item=2)]), lambda: store.of_user("ann"), lambda: store.position,
                lambda: store.after(0, 9),
            ):  # fmt: skip
                with pytest.raises(StoreError, match=r"^the users' events \(Redis\) cannot be reached now"):
                    call()
            assert behind(store).bounds() == (0, 1)
        finally:
            redis.start()
        store._users._outage._until = 0  # a second later
        assert items(store) == [1]
        assert store.append([click(item=2), click(item=3, id="a")]) == [2, 1]


def test_users_are_known_while_kafka_is_away(open_kafka, kafka):
    store = open_kafka(seconds=2)
    store.append([click(item=1, id="a")])
    kafka.set_away(True)
    begin = time.monotonic()
    with pytest.raises(StoreError, match=r"^the event log \(Kafka\) cannot be reached now; try again$"):
        store.append([click(item=2, id="b")])
    for _ in range(20):
        with pytest.raises(StoreError, match="Kafka"):
            store.append([click(item=2, id="b")])
    assert time.monotonic() - begin < 3  # they did not wait one after another
    behind(store)._outage._until, begin = 0, time.monotonic()  # a second later
    with pytest.raises(StoreError, match="Kafka"):
        store.append([click(item=2, id="b")])
    assert time.monotonic() - begin < 1.5
    assert items(store) == [1]
    kafka.set_away(False)
    end = time.monotonic() + 10
    while True:
        try:
            position = store.append([click(item=2, id="b")])
            break
        except StoreError:
            assert time.monotonic() < end
            time.sleep(0.05)
    assert store.append([click(item=3, id="b"), click(item=3, id="a")]) == [*position, 1]
    assert items(store) == [1, 2]
    assert [event.id for _, event in store.after(0, 9)] == ["a", "b"]


def test_a_producer_that_cannot_go_on_is_replaced(open_kafka):
    from confluent_kafka import KafkaError, KafkaException

    class Fatal:
        def produce(self, *_, **__):
            raise KafkaException(KafkaError(KafkaError._FATAL))

    store = open_kafka()
    behind(store)._producer = Fatal()
    with pytest.raises(StoreError, match="Kafka"):
        store.append([click()])
    behind(store)._outage._until = 0
    assert store.append([click()]) == [1]


def test_a_closed_store_is_a_store_error(open_kafka):
    store = open_kafka()
    store.close()
    store.close()
    for call in (lambda: store.append([click()]), lambda: store.after(0, 1), lambda: store.of_user("ann")):
        with pytest.raises(StoreError, match=r"^the event log is closed$"):
            call()


def test_a_log_is_opened_by_its_name(kafka, redis, tmp_path):
    url = f"kafka://{kafka.servers}/{kafka.topic()}?client.id=a%20b"
    store = open_event_store(url, redis.url)
    assert isinstance(store, KafkaEventStore) and store.position == 0
    store.close()
    path = tmp_path / "events.sqlite"
    open_event_store(str(path)).close()
    assert path.is_file()


@pytest.mark.parametrize(
    ("events", "users", "message"),
    [
        ("{kafka}/missing", "{redis}", "has no topic missing: .*; make it with kafka-topics.sh --create"),
        ("{kafka}/{wide}", "{redis}", r"the topic \S+ has 3 partitions, a numbered log has 1; name another"),
        ("{kafka}/{topic}", None, "events in Kafka need a Redis for the users; add --users redis://"),
        ("{kafka}/{topic}?bogus=1", "{redis}", 'does not take these options: No such .* property: "bogus"'),
        ("{kafka}/{topic}", "mysql://x:secret@y", "^users should be the address of a Redis"),
        ("{kafka}/{topic}", "redis://:secret@127.0.0.1:9", "users cannot be kept in Redis: .*refused"),
        ("{kafka}", "{redis}", "should be a path or kafka://host:9092/topic"),
        ("mysql://host/log?password=secret", "{redis}", "--events mysql://host/log should be a path or"),
        ("events.sqlite", "{redis}", "--users is for events in Kafka; leave it out, events.sqlite is a file"),
    ],
)  # fmt: skip
def test_a_log_that_cannot_be_opened_is_refused_in_one_line(events, users, message, kafka, redis):
    names = {"topic": kafka.topic(), "wide": kafka.topic(3), "redis": redis.url}
    names["kafka"] = f"kafka://{kafka.servers}"
    with pytest.raises(InputError, match=message) as error:
        open_event_store(events.format(**names), users and users.format(**names))
    assert "\n" not in str(error.value) and "secret" not in str(error.value)


def test_kafka_that_is_away_at_the_start_is_refused(redis):
    pytest.importorskip("confluent_kafka", reason="events in Kafka need confluent-kafka, of the extra kafka")
    with pytest.raises(InputError, match="^Kafka does not answer at 127.0.0.1:9: .*; start it, or mend"):
        KafkaEventStore("127.0.0.1:9", "events", redis.url, seconds=0.3)


def test_a_redis_that_knows_another_topic_of_the_name_is_refused(kafka, redis):
    topic = kafka.topic()
    users = RedisUserEvents(redis.url, topic)
    users.add([], 0, 9)
    users.close()
    with pytest.raises(InputError, match=r"Redis knows 9 events of a topic of this name, which has 0; name"):
        KafkaEventStore(kafka.servers, topic, redis.url)


def test_a_missing_package_is_named(monkeypatch):
    for package, name in (("confluent_kafka", "confluent-kafka"), ("redis", "redis")):
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, package, None)
            with pytest.raises(InputError, match=rf"need {name}; pip install 'torchrec-ext\[kafka\]'"):
                (KafkaTopic if package != "redis" else RedisUserEvents)("127.0.0.1:9", "events")


def test_reading_does_not_wait_for_an_append(open_kafka, monkeypatch):
    store, free, begun = open_kafka(), threading.Event(), threading.Event()
    store.append([click(item=1)])
    append = KafkaTopic.append

    def slow(topic, values):
        begun.set()
        assert free.wait(20)
        return append(topic, values)

    monkeypatch.setattr(KafkaTopic, "append", slow)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(store.append, [click(item=2)])
        assert begun.wait(20) and items(store) == [1]
        free.set()
        assert future.result() == [2] and items(store) == [1, 2]
