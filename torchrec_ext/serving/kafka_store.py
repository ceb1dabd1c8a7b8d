"""KafkaEventStore: an event log in Kafka that services of several machines share."""

import json
import threading
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import asdict
from itertools import islice

from typing_extensions import Self

from torchrec_ext.errors import InputError
from torchrec_ext.serving.event_store import StoreError, expect_event, expect_whole
from torchrec_ext.serving.kafka_topic import MOST_BYTES, KafkaTopic
from torchrec_ext.serving.redis_users import RedisUserEvents, Row
from torchrec_ext.serving.served_event import EXPOSURE, Id, ServedEvent, checked_id

_TOGETHER = 1000


class KafkaEventStore:
    """An :class:`EventStore` in a topic of Kafka, whose newest events of each user are in Redis.

    The topic holds every event as JSON, and is all that must not be lost: what Redis lacks is read from the
    topic again. Any number of processes may use the two. Besides the promises of an event store:

    - Positions are offsets + 1. A repeated ``id`` leaves a gap, and so may an append that failed, of which
      some events may be stored.
    - An ``id`` counts once within 7 days.
    - Of a user the newest 1,000 events are kept, exposures apart, which are in the topic alone.
    - The topic has one partition, and should keep its events (``retention.ms=-1``).

    Args:
        servers: addresses of brokers, ``host:9092,host:9092``.
        topic: its name.
        users: the URL of a Redis, ``redis://host:6379/0``.
        options: further options of librdkafka, such as ``security.protocol``.
        seconds: to wait for the brokers.

    Raises:
        InputError: if a server does not answer, the topic does not exist or has more than one partition, or
            Redis knows another topic of that name.

    Example:
        >>> KafkaEventStore("localhost:9", "events", users="localhost:6379")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: users should be the address of a Redis, redis://host:6379/0, ...
    """

    def __init__(
        self,
        servers: str,
        topic: str,
        users: str,
        options: Mapping[str, str] | None = None,
        seconds: float = 5,
    ) -> None:
        self._users = RedisUserEvents(users, topic)
        self._topic = KafkaTopic(servers, topic, options, seconds)
        self._turn = threading.RLock()  # of those that read or write the topic
        self._closed = False
        self._indexed = 0  # the highest position up to which Redis has known the topic
        try:
            self._catch_up()
        except StoreError as error:
            self.close()
            raise InputError(f"the event log {topic} cannot be opened: {error}") from None

    def append(self, events: Iterable[ServedEvent]) -> list[int]:
        batch = [expect_event(index, event) for index, event in enumerate(events)]
        values = [_value(index, event) for index, event in enumerate(batch)]
        places = {event.id: place for place, event in reversed([*enumerate(batch)])}  # the first of each id
        with self._turn:
            self._expect_open()
            first = self._users.first_positions(places)  # if Redis is away, nothing is stored
            new = [
                place
                for place, event in enumerate(batch)
                if event.id is None or (event.id not in first and place == places[event.id])
            ]
            stored = dict(zip(new, self._topic.append([values[place] for place in new]), strict=True))
            if stored:
                self._index_own([_row(stored[place], batch[place], values[place]) for place in new])
                first |= self._users.first_positions(places)  # another process may have been faster
        return [
            stored[place] if event.id is None else first.get(event.id) or stored[places[event.id]]
            for place, event in enumerate(batch)
        ]

    def after(self, position: int, limit: int) -> list[tuple[int, ServedEvent]]:
        expect_whole("position", position)
        expect_whole("limit", limit)
        with self._turn:
            self._expect_open()
            low, until = self._catch_up()
            if 0 < position < low:
                raise StoreError(
                    f"the topic has lost the events from position {position + 1} to {low}, which its "
                    "retention has removed"
                )
            repeats = self._users.repeats(position)
            with closing(self._topic.read(position, until)) as messages:
                counted = (
                    (place, event)
                    for place, value in messages
                    if place not in repeats and (event := _event(value)) is not None
                )
                return [*islice(counted, limit)]

    def last(self, user: Id, count: int) -> list[ServedEvent]:
        expect_whole("count", count)
        found = [event for _, event in self.of_user(user)]
        return found[len(found) - min(count, len(found)) :]

    def of_user(self, user: Id, after: int = 0, without: str = "") -> list[tuple[int, ServedEvent]]:
        user = checked_id("user", user)
        expect_whole("after", after)
        self._expect_open()
        indexed, found = self._users.of(_key(user), after)
        if indexed < self._indexed:  # Redis has lost something
            self._catch_up()
            indexed, found = self._users.of(_key(user), after)
        self._indexed = max(self._indexed, indexed)
        events = [(position, event) for position, value in found if (event := _event(value)) is not None]
        kept = [
            (position, event) for position, event in events if event.type is None or event.type != without
        ]
        return sorted(kept, key=lambda pair: (pair[1].timestamp, pair[0]))

    @property
    def position(self) -> int:
        self._expect_open()
        self._catch_up()
        return self._users.state()[1]

    def close(self) -> None:
        with self._turn:
            if not self._closed:
                self._closed = True
                self._topic.close()
                self._users.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _index_own(self, rows: list[Row]) -> None:
        """Adds what was just stored to Redis, and before it what others have stored and not yet added."""
        begin, end = rows[0][0] - 1, rows[-1][0]
        alone = end - begin == len(rows)
        indexed = self._users.add(rows, begin, end) if alone else 0
        if indexed < end:
            self._catch_up()
        self._indexed = max(self._indexed, end)

    def _catch_up(self) -> tuple[int, int]:
        """Adds to Redis what it lacks of the topic; the bounds of the topic."""
        with self._turn:
            self._expect_open()
            indexed, _ = self._users.state()  # first: others may append and add before the next line
            low, until = self._topic.bounds()
            if indexed > until:
                raise StoreError(
                    f"Redis knows {indexed} events of a topic of this name, which has {until}; name "
                    "the topic that it knows, or another database of Redis"
                )
            if indexed < until:
                with closing(self._topic.read(indexed, until)) as messages:
                    while batch := [*islice(messages, _TOGETHER)]:
                        rows = [
                            _row(position, event, value)
                            for position, value in batch
                            if (event := _event(value)) is not None
                        ]
                        self._users.add(rows, indexed, batch[-1][0])
                        indexed = batch[-1][0]
                if self._users.add([], indexed, until) < until:
                    raise StoreError("the users' events (Redis) were emptied meanwhile; try again")
            self._indexed = max(self._indexed, until)
            return low, until

    def _expect_open(self) -> None:
        if self._closed:
            raise StoreError("the event log is closed")


def _value(index: int, event: ServedEvent) -> bytes:
    value = json.dumps(asdict(event), ensure_ascii=False).encode()
    if len(value) > MOST_BYTES:
        raise InputError(f"events[{index}] has {len(value):,} bytes as JSON; {MOST_BYTES:,} are possible")
    return value


def _event(value: bytes) -> ServedEvent | None:
    """The event of a message; None for one that somebody else has put into the topic."""
    try:
        return ServedEvent(**json.loads(value))
    except (ValueError, TypeError, RecursionError):  # an InputError is a ValueError
        return None


def _row(position: int, event: ServedEvent, value: bytes) -> Row:
    return position, "" if event.type == EXPOSURE else _key(event.user), event.id or "", value


def _key(user: Id) -> str:
    """``7`` and ``"7"`` are two users."""
    return json.dumps(user)
