"""schemathesis: requests made from the OpenAPI description meet no 5xx, and every answer fits it."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from torchrec_ext.serving import Service, SqliteEventStore
from torchrec_ext.serving.http import create_app

schemathesis = pytest.importorskip("schemathesis", reason="the description is tested with schemathesis")
from schemathesis.specs.openapi import checks  # noqa: E402

HEALTH = list(HealthCheck)
TOKEN = "0123456789abcdef0123"
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
]


@pytest.fixture(scope="module")
def app(with_context, tmp_path_factory):
    with SqliteEventStore(tmp_path_factory.mktemp("schema") / "events.sqlite") as store:
        yield create_app(Service(with_context, store), token=TOKEN, bundles=with_context.parent)


def exercise(app, examples: int, **more) -> None:
    """Sends requests that fit the description, and others that do not, to every route."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    description = schemathesis.openapi.from_asgi("/openapi.json", app, headers=headers)
    names = set()
    for found in description.get_all_operations():
        operation = found.ok()
        for mode in schemathesis.GenerationMode:

            @settings(
                max_examples=examples, deadline=None, suppress_health_check=HEALTH, database=None, **more
            )
            @given(operation.as_strategy(generation_mode=mode))
            def send(case):
                answer = case.call(headers=headers)
                case.validate_response(answer, checks=CHECKS)
                names.add((case.operation.label, answer.status_code))

            try:
                send()
            except Unsatisfiable:  # a route whose only argument is a string of its path has no wrong ones
                assert mode.is_negative and not operation.body and not list(operation.query)
    assert {label for label, status in names if status == 200} >= {
        *("POST /recommend", "POST /events", "POST /items")
    }


def test_no_request_meets_a_server_error(app):
    exercise(app, 12, derandomize=True, phases=[Phase.generate])


@pytest.mark.slow
def test_no_request_of_many_meets_a_server_error(app):
    exercise(app, 500)
