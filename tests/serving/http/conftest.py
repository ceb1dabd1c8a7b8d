import pytest

for module in ("fastapi", "uvicorn", "prometheus_client", "httpx"):
    pytest.importorskip(module, reason=f"the service over HTTP needs {module}, of the extra serve")

from fastapi.testclient import TestClient  # noqa: E402

from tests.serving.http.served import write_bundle  # noqa: E402
from torchrec_ext.serving import Service, SqliteEventStore  # noqa: E402
from torchrec_ext.serving.http import create_app  # noqa: E402


@pytest.fixture(scope="session")
def bundle(tmp_path_factory):
    return write_bundle(tmp_path_factory.mktemp("bundles") / "first")


@pytest.fixture(scope="session")
def with_context(tmp_path_factory):
    """The bundle of a model that reads the context of a request and the side features of items."""
    return write_bundle(tmp_path_factory.mktemp("bundles") / "context", context=True)


@pytest.fixture
def store(tmp_path):
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        yield store


@pytest.fixture
def client(bundle, store):
    with TestClient(create_app(Service(bundle, store)), raise_server_exceptions=True) as client:
        yield client
