"""KafkaTopic: a numbered log in a topic of one partition of Kafka."""

import logging
from collections.abc import Generator, Mapping, Sequence
from functools import partial
from typing import Any

from torchrec_ext.errors import InputError
from torchrec_ext.serving.outage import Outage

MOST_BYTES = 900_000
"""Of a message: brokers take a million with what is around it, unless they are set otherwise."""
_TOGETHER = 10_000
_QUIET = logging.getLogger(f"{__name__}.librdkafka")  # its lines name addresses
_QUIET.propagate = False
_QUIET.addHandler(logging.NullHandler())


class KafkaTopic:
    """Appends messages, durably, and reads them by their positions: the offset of the first one is 1.

    One thread may read at a time, and one append.

    Args:
        servers: addresses of brokers, ``host:9092,host:9092``.
        name: of the topic, which has one partition.
        options: further ones of librdkafka, such as ``security.protocol``.
        seconds: to wait for the brokers.

    Raises:
        InputError: if no broker answers, the topic does not exist or has more partitions, an option is
            unknown, or the package is missing.

    Source: https://github.com/confluentinc/librdkafka/blob/master/CONFIGURATION.md
    """

    def __init__(
        self, servers: str, name: str, options: Mapping[str, str] | None = None, seconds: float = 5
    ) -> None:
        try:
            import confluent_kafka
        except ImportError:
            raise InputError(
                "events in Kafka need confluent-kafka; pip install 'torchrec-ext[kafka]'"
            ) from None
        self._kafka, self.name, self._seconds = confluent_kafka, name, seconds
        self._options: dict[str, Any] = {
            **(options or {}), "bootstrap.servers": servers, "reconnect.backoff.max.ms": 1000,
            "logger": _QUIET, "error_cb": lambda error: None,
        }  # fmt: skip
        errors = (confluent_kafka.KafkaException, BufferError)
        self._outage = Outage("the event log (Kafka) cannot be reached", errors)
        self._partition = partial(confluent_kafka.TopicPartition, name, 0)
        reading = {
            "group.id": "torchrec_ext", "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "enable.partition.eof": True, "fetch.wait.max.ms": 5,
        }  # fmt: skip
        try:
            self._consumer = confluent_kafka.Consumer({**self._options, **reading})
        except confluent_kafka.KafkaException as error:
            raise InputError(f"Kafka does not take these options: {error.args[0].str()}") from None
        try:
            self._expect_one_partition(servers)
        except BaseException:
            self._consumer.close()
            raise
        self._producer: Any = self._new_producer()
        self._failed = False  # the last append

    def append(self, values: Sequence[bytes]) -> list[int]:
        """Adds messages, and returns their positions once all brokers that have to have stored them.

        Raises:
            StoreError: if that is not certain; some may be stored.
        """
        positions: list[int] = []
        with self._outage.reported():
            try:
                if self._failed:  # a request that fails at once where brokers refuse connections
                    self._consumer.get_watermark_offsets(self._partition(), min(1, self._seconds))
                self._failed = True
                for start in range(0, len(values), _TOGETHER):
                    positions += self._deliver(values[start : start + _TOGETHER])
                self._failed = False
            except self._kafka.KafkaException as error:
                if error.args[0].code() == self._kafka.KafkaError._FATAL or error.args[0].fatal():
                    self._producer = self._new_producer()  # an idempotent one does not go on after these
                raise
        return positions

    def bounds(self) -> tuple[int, int]:
        """The position before the first message that the topic still has, and that of the newest one."""
        with self._outage.reported():
            low, high = self._consumer.get_watermark_offsets(self._partition(), self._seconds)
        return low, high

    def read(self, after: int, until: int) -> Generator[tuple[int, bytes], None, None]:
        """The messages after one position up to another; close the generator before the next call."""
        position = after
        with self._outage.reported():
            self._consumer.assign([self._partition(after)])
        try:
            while position < until:
                with self._outage.reported():
                    message = self._consumer.poll(self._seconds)
                    if message is None:
                        raise self._kafka.KafkaException("no message arrived")
                    if error := message.error():
                        if error.code() != self._kafka.KafkaError._PARTITION_EOF:
                            raise self._kafka.KafkaException(error)
                        if int(message.offset() or 0) >= until:
                            return  # positions may be missing at the end, those of transactions
                        continue
                position = int(message.offset() or 0) + 1
                if position <= until:
                    yield position, message.value() or b""
        finally:
            self._consumer.unassign()

    def close(self) -> None:
        """Closes the connections."""
        self._producer = None
        self._consumer.close()

    def _deliver(self, values: Sequence[bytes]) -> list[int]:
        positions, errors = {}, [self._kafka.KafkaError(self._kafka.KafkaError._TIMED_OUT)]

        def delivered(place: int, error: Any, message: Any) -> None:
            if error is None:
                positions[place] = message.offset() + 1
            else:
                errors.append(error)

        for place, value in enumerate(values):
            self._producer.produce(self.name, value, partition=0, on_delivery=partial(delivered, place))
        self._producer.flush(self._seconds + 1)
        if len(positions) < len(values):
            raise self._kafka.KafkaException(errors[-1])
        return [positions[place] for place in range(len(values))]

    def _new_producer(self) -> Any:
        durable = {"acks": "all", "enable.idempotence": True, "message.timeout.ms": int(self._seconds * 1000)}
        return self._kafka.Producer({**self._options, **durable})

    def _expect_one_partition(self, servers: str) -> None:
        try:
            topic = self._consumer.list_topics(self.name, self._seconds).topics[self.name]
        except self._kafka.KafkaException as error:
            reason = error.args[0].str()
            raise InputError(
                f"Kafka does not answer at {servers}: {reason}; start it, or mend the address"
            ) from None
        make = f"make it with kafka-topics.sh --create --topic {self.name} --partitions 1"
        if topic.error is not None:
            raise InputError(f"Kafka at {servers} has no topic {self.name}: {topic.error.str()}; {make}")
        if len(topic.partitions) != 1:
            raise InputError(
                f"the topic {self.name} has {len(topic.partitions)} partitions, a numbered log has 1; name "
                f"another and {make}"
            )
