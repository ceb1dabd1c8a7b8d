import pytest

from tests.serving.servers import Kafka, Redis, kafka_mock, redis_server


@pytest.fixture(scope="session")
def redis() -> Redis:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="module")
def kafka() -> Kafka:
    """A cluster for each module: os.seteuid(), which one calls, interrupts the mock's thread and ends it."""
    with kafka_mock() as cluster:
        yield cluster


@pytest.fixture
def open_kafka(kafka, redis):
    """Opens stores over one new topic."""
    from torchrec_ext.serving import KafkaEventStore

    topic, opened = kafka.topic(), []

    def open_store(**more):
        opened.append(KafkaEventStore(kafka.servers, topic, redis.url, **more))
        return opened[-1]

    yield open_store
    kafka.set_away(False)
    for store in opened:
        store.close()
