"""POST /bundle: another bundle, while requests run."""

import shutil
import threading

import pytest
from fastapi.testclient import TestClient

from tests.serving.http.served import write_bundle
from tests.serving.http.test_bad_input import expect_error
from torchrec_ext.serving import Service
from torchrec_ext.serving.http import create_app
from torchrec_ext.serving.http.live_lists import LiveLists

HEADERS = {"Authorization": "Bearer 0123456789abcdef0123"}


@pytest.fixture
def client(bundle, store):
    write_bundle(bundle.parent / "second", "sasrec") if not (bundle.parent / "second").exists() else None
    app = create_app(Service(bundle, store), token=HEADERS["Authorization"][7:], bundles=bundle.parent)
    with TestClient(app, headers=HEADERS) as client:
        yield client


def test_another_bundle_answers_and_knows_the_events(client):
    client.post("/events", json={"user": "new", "item": 101})
    first = client.post("/recommend", json={"user": "new"}).json()
    assert client.post("/bundle", json={"bundle": "second"}).json() == {"bundle": "second"}
    second = client.post("/recommend", json={"user": "new"}).json()
    assert (first["bundle"], second["bundle"]) == ("first", "second")
    assert second["source"] == "model" and 101 not in [entry["item"] for entry in second["items"]]
    assert second["items"][0]["title"].startswith("Film ")
    assert client.get("/health").json()["bundle"] == "second"


def test_what_is_no_bundle_leaves_the_first_at_work(client, bundle):
    (bundle.parent / "empty").mkdir(exist_ok=True)
    cut = bundle.parent / "cut"
    cut.mkdir(exist_ok=True)
    for file in bundle.iterdir():
        if file.is_file():
            (cut / file.name).write_bytes(file.read_bytes()[:-1])
    for name in ("absent", "empty", "cut", "..", ".", "../first", "/etc", str(bundle), "a\x00b", "x" * 300):
        error = expect_error(client.post("/bundle", json={"bundle": name}), 422, "bundle")
        assert str(bundle.parent) not in error
    for body in ({}, {"bundle": ""}, {"bundle": 3}):
        expect_error(client.post("/bundle", json=body), 422, "bundle")
    assert client.get("/health").json()["bundle"] == "first"


def test_a_bundle_whose_file_was_cut_short_is_refused(client, bundle):
    cut = shutil.copytree(bundle, bundle.parent / "cut-short")
    files = [file for file in cut.rglob("*") if file.is_file()]
    assert len(files) > 8
    for file in files:
        whole = file.read_bytes()
        for content in (whole[: len(whole) // 2], b"", None):
            file.unlink() if content is None else file.write_bytes(content)
            error = expect_error(client.post("/bundle", json={"bundle": cut.name}), 422, "bundle")
            assert str(bundle.parent) not in error and file.name in error, error
        file.write_bytes(whole)
    assert client.get("/health").json()["bundle"] == "first"
    assert client.post("/bundle", json={"bundle": cut.name}).status_code == 200  # whole again


def test_one_swap_at_a_time(client, monkeypatch):
    begun, free = threading.Event(), threading.Event()

    def wait(self, *_, **__):
        begun.set()
        assert free.wait(20)
        return "second"

    monkeypatch.setattr(LiveLists, "swap", wait)
    answers = []
    thread = threading.Thread(
        target=lambda: answers.append(client.post("/bundle", json={"bundle": "second"}))
    )
    thread.start()
    assert begun.wait(20)
    expect_error(client.post("/bundle", json={"bundle": "second"}), 409)
    free.set()
    thread.join()
    assert answers[0].status_code == 200
