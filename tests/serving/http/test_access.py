"""Who gets in: the token, other machines, and what else of the command line is refused."""

import base64
import logging
import socket

import pytest
from fastapi.testclient import TestClient

from recipes import serve
from tests.recipes.launch import launch
from torchrec_ext.command_line import parse_settings
from torchrec_ext.errors import InputError
from torchrec_ext.serving import Service
from torchrec_ext.serving.http import bind, create_app
from torchrec_ext.serving.http.access import read_token
from torchrec_ext.serving.http.server import is_loopback

TOKEN = "0123456789abcdef0123"


def basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{token}".encode()).decode()


def test_every_route_but_two_needs_the_token(bundle, store):
    app = create_app(Service(bundle, store), token=TOKEN)
    with TestClient(app) as client:
        paths = [*app.openapi()["paths"], "/", "/docs", "/openapi.json", "/page/page.js", "/nothing"]
        for path in paths:
            expected = 200 if path in ("/health", "/ready") else 401
            for method in ("GET", "POST") if expected == 401 else ("GET",):
                for header in ({}, *({"Authorization": value} for value in WRONG)):
                    answer = client.request(method, path, headers=header)
                    assert answer.status_code == expected, (method, path, header)
        assert answer.json()["error"].startswith("give the token")
        assert "Bearer" in answer.headers["www-authenticate"]
        for value in (f"Bearer {TOKEN}", f"bearer  {TOKEN}", basic(TOKEN)):
            found = client.post("/recommend", json={"user": 1}, headers={"Authorization": value})
            assert found.status_code == 200, value


WRONG = ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", TOKEN, f"Token {TOKEN}",
         "Basic ?", "Basic " + TOKEN, basic(TOKEN[:-1]), basic(""),
         "Bearer \u00e9".encode("latin-1")]  # fmt: skip


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8000", 200), ("localhost", 200), ("LocalHost:8000", 200), ("[::1]:8000", 200), ("", 200),
        ("shop.localhost:80", 200), ("machine", 200), ("rebound.example", 403), ("rebound.example:8000", 403),
        ("127.0.0.1.rebound.example", 403), ("localhost.rebound.example", 403), ("rebound.example.", 403),
        ("[::1", 403), (".", 403), (":8000", 403), ("\u00e9.example".encode("latin-1"), 403),
    ],
)  # fmt: skip
def test_a_name_that_somebody_may_point_to_this_machine_is_no_host(host, status, client):
    for path in ("/", "/health", "/users"):
        answer = client.get(path, headers={"Host": host})
        assert answer.status_code == status, answer.text
    if status == 403:
        assert answer.json()["error"].startswith("the host should be localhost")


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        (None, 200), ("http://127.0.0.1:8000", 200), ("https://127.0.0.1:8000", 200), ("null", 403),
        ("http://127.0.0.1:9000", 403), ("http://127.0.0.1", 403), ("https://shop.example", 403), ("", 200),
        ("http://shop.example/127.0.0.1:8000", 403), ("127.0.0.1:8000", 403),
    ],
)  # fmt: skip
def test_a_page_of_another_site_can_post_nothing(origin, status, client, store):
    headers = {"Host": "127.0.0.1:8000"} | ({} if origin is None else {"Origin": origin})
    for path, body in (("/events", {"user": 1, "item": 101}), ("/recommend", {"user": 1})):
        answer = client.post(path, json=body, headers=headers)
        assert answer.status_code == status, answer.text
    assert len(store) == (status == 200)
    assert client.get("/health", headers=headers).status_code == 200
    assert "access-control-allow-origin" not in answer.headers


def test_a_service_with_a_token_may_have_any_name_and_page(bundle, store):
    headers = {"Host": "shop.example", "Origin": "https://app.example", "Authorization": f"Bearer {TOKEN}"}
    with TestClient(create_app(Service(bundle, store), token=TOKEN)) as client:
        assert client.post("/recommend", json={"user": 1}, headers=headers).status_code == 200


def test_without_a_token_no_bundle_can_be_swapped_in(bundle, store):
    with TestClient(create_app(Service(bundle, store), bundles=bundle.parent)) as client:
        assert client.post("/bundle", json={"bundle": "first"}).status_code == 404


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "0 words"), (b"short\n", "5 char"), (b"some words of a token\n", "5 words"), (b"\xff", "ASCII")],
)  # fmt: skip
def test_a_token_file_holds_one_long_word(content, reason, tmp_path):
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_token(tmp_path / "token")
    (tmp_path / "token").write_text(f"  {TOKEN}\n")
    assert read_token(tmp_path / "token") == TOKEN


@pytest.mark.parametrize(("mode", "warnings"), [(0o600, 0), (0o640, 0), (0o644, 1)])
def test_a_token_that_everybody_can_read_is_said_to_be(mode, warnings, tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("torchrec_ext"), "propagate", True)
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "token").chmod(mode)
    read_token(tmp_path / "token")
    assert len(caplog.messages) == warnings and TOKEN not in caplog.text


def test_loopback_is_told_from_other_addresses():
    assert all(map(is_loopback, ("127.0.0.1", "127.8.8.8", "localhost", "::1")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.0.2.1", "no.such.host.invalid")))


@pytest.fixture
def refusal(monkeypatch, tmp_path):
    """What recipes/serve.py says to a command line that it refuses."""
    monkeypatch.chdir(tmp_path)

    def refusal(*words: object) -> str:
        settings, _ = parse_settings(serve.Settings, argv=[*map(str, words)])
        with pytest.raises(InputError) as error:
            serve.main(settings)
        assert "\n" not in str(error.value)
        return str(error.value)

    return refusal


def test_asyncio_sends_answers_at_once():
    with bind("127.0.0.1", 0) as listener:
        assert listener.proto == socket.IPPROTO_TCP  # without which it does not set TCP_NODELAY


def test_what_the_command_line_gets_wrong_is_said_in_one_line(bundle, tmp_path, refusal):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "bundle.json").write_text("{")
    (tmp_path / "text").write_text("no event log, but a text of some length " * 100)
    good = "--bundle", bundle, "--port", 0
    assert "needs --token-file" in refusal(*good, "--host", "0.0.0.0")
    assert "cannot be read: No such file" in refusal(*good, "--token-file", "absent")
    assert "port should be from 0 to 65535, received 99999" in refusal("--bundle", bundle, "--port", 99999)
    assert "holds no bundle" in refusal("--bundle", "absent", "--port", 0)
    assert "is not the manifest of a bundle" in refusal("--bundle", "broken", "--port", 0)
    assert "the event log" in refusal(*good, "--events", "text")
    assert "max_in_flight" in refusal(*good, "--max-in-flight", 0)
    assert "'no.such.host.invalid'" in refusal(*good, "--host", "no.such.host.invalid", *_token(tmp_path))


def _token(folder) -> tuple[object, ...]:
    (folder / "token").write_text(TOKEN)
    return "--token-file", folder / "token"


def test_a_missing_extra_is_named(bundle, refusal, monkeypatch):
    monkeypatch.setattr(serve, "find_spec", lambda name: None if name == "uvicorn" else name)
    assert refusal("--bundle", bundle) == "serving needs uvicorn; pip install 'torchrec-ext[serve]'"


def test_a_port_in_use_ends_the_recipe_with_status_2(bundle, tmp_path):
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        ended = launch("serve", "--bundle", bundle, "--port", port, folder=tmp_path, succeeds=False)
    assert ended.status == 2 and not ended.out[0]
    assert ended.error == (
        f"serve.py: port {port} of 127.0.0.1 cannot be listened at: Address already in use; name another "
        "port or host"
    )
