"""Debian's redis-server and librdkafka's mock of a Kafka cluster, for tests."""

import ctypes
import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NUMBERS = itertools.count()  # Redis knows the topics of clusters that have ended


@dataclass
class Redis:
    """A redis-server that keeps nothing on the disk."""

    port: int
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        words = [
            "redis-server",
            "--port",
            self.port,
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self.process = subprocess.Popen(
            [str(word) for word in words], stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir()
        )
        end = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                assert self.process.poll() is None and time.monotonic() < end, "redis-server did not start"
                time.sleep(0.01)

    def stop(self) -> None:
        """Ends it; what it held is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def redis_server() -> Iterator[Redis]:
    pytest.importorskip("redis", reason="users in Redis need redis, of the extra kafka")
    if shutil.which("redis-server") is None:
        pytest.skip("there is no redis-server on the PATH; apt-get install redis-server")
    with socket.create_server(("127.0.0.1", 0)) as free:
        server = Redis(free.getsockname()[1])
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass
class Kafka:
    """A cluster of one broker in this process, which other processes may connect to."""

    library: ctypes.CDLL
    cluster: ctypes.c_void_p
    servers: str

    def topic(self, partitions: int = 1) -> str:
        """Makes a new topic."""
        name = f"events-{next(_NUMBERS)}"
        self._call("topic_create", name.encode(), partitions, 1)
        return name

    def set_away(self, away: bool) -> None:
        """Disconnects every client and refuses new connections, or takes them again."""
        self._call("broker_set_down" if away else "broker_set_up", 1)

    def delete_before(self, topic: str, offset: int) -> None:
        """Forgets the first messages, as a retention does."""
        self._call("partition_delete_records", topic.encode(), 0, ctypes.c_int64(offset))

    def _call(self, name: str, *values: object) -> None:
        assert getattr(self.library, f"rd_kafka_mock_{name}")(self.cluster, *values) == 0


@contextmanager
def kafka_mock() -> Iterator[Kafka]:
    """The mock by its C interface: that of Python makes neither topics nor outages."""
    package = pytest.importorskip(
        "confluent_kafka", reason="events in Kafka need confluent-kafka, of the extra kafka"
    )
    found = [*Path(package.__file__).parents[1].glob("confluent_kafka.libs/librdkafka*")]
    if not found:
        pytest.skip("confluent-kafka brings no librdkafka of its own, whose mock cluster the test needs")
    library = ctypes.CDLL(str(found[0]))
    pointers = ("rd_kafka_new", "rd_kafka_conf_new", "rd_kafka_mock_cluster_new")
    for name in pointers:
        getattr(library, name).restype = ctypes.c_void_p
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
    library.rd_kafka_conf_set(configuration, b"log_level", b"0", None, ctypes.c_size_t(0))
    client = ctypes.c_void_p(library.rd_kafka_new(0, configuration, None, ctypes.c_size_t(0)))
    cluster = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(client, 1))
    servers = library.rd_kafka_mock_cluster_bootstraps(cluster).decode()
    try:
        yield Kafka(library, cluster, servers)
    finally:
        library.rd_kafka_mock_cluster_destroy(cluster)
        library.rd_kafka_destroy(client)
