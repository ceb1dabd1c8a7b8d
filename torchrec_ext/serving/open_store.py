"""open_event_store(): the event log that a command line names."""

from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from torchrec_ext.errors import InputError
from torchrec_ext.serving.event_store import EventStore, SqliteEventStore


def open_event_store(events: str, users: str | None = None) -> EventStore:
    """An event log by its name: a file of SQLite, or a topic of Kafka with its users in Redis.

    Args:
        events: a path, or ``kafka://host:9092/topic``, with further brokers behind commas and options of
            librdkafka behind a question mark.
        users: of a topic, the URL of a Redis.

    Raises:
        InputError: if the log cannot be opened, or the two do not fit together.

    Example:
        >>> open_event_store("kafka://localhost:9092/events")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: events in Kafka need a Redis for the users; add --users redis://...
    """
    if "://" not in events:
        if users is not None:
            raise InputError(f"--users is for events in Kafka; leave it out, {events} is a file")
        return SqliteEventStore(Path(events).expanduser())
    address = urlsplit(events)
    servers, topic = address.netloc, address.path.strip("/")
    if address.scheme != "kafka" or not servers or not topic or "/" in topic:
        shown = f"{address.scheme}://{servers}{address.path}"  # an option may be a password
        raise InputError(f"--events {shown} should be a path or kafka://host:9092/topic")
    if users is None:
        raise InputError("events in Kafka need a Redis for the users; add --users redis://host:6379/0")
    from torchrec_ext.serving.kafka_store import KafkaEventStore

    return KafkaEventStore(servers, topic, users, dict(parse_qsl(address.query)))
