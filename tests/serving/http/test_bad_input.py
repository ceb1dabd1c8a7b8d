"""Bad input: a clear answer that names the field, without a path or a stack."""

import json
import re

import pytest
from fastapi.testclient import TestClient

from torchrec_ext.serving import Service
from torchrec_ext.serving.http import create_app

LISTS = [
    ({}, "user"),
    ({"user": 1, "session": [101]}, "user"),
    ({"user": None}, "user"),
    ({"user": ""}, "user"),
    ({"user": 1.5}, "user"),
    ({"user": True}, "user"),
    ({"user": 2**70}, "user"),
    ({"user": [1]}, "user"),
    ({"user": "\ud800"}, "user"),
    ({"user": 1, "k": 0}, "k"),
    ({"user": 1, "k": 1_000_000}, "k"),
    ({"user": 1, "k": "10"}, "k"),
    ({"user": 1, "k": True}, "k"),
    ({"user": 1, "k": float("nan")}, "k"),
    ({"user": 1, "size": 3}, "size"),
    ({"user": 1, "exclude": 3}, "exclude"),
    ({"user": 1, "exclude": [3, None]}, "exclude[1]"),
    ({"user": 1, "candidates": [{}]}, "candidates[0]"),
    ({"session": "abc"}, "session"),
    ({"user": 1, "exclude_seen": "yes"}, "exclude_seen"),
    ({"user": 1, "timings": 1}, "timings"),
    ({"user": 1, "filters": {"prise": [1]}}, "filters"),
    ({"user": 1, "filters": {"price": 1}}, "filters.price"),
    ({"user": 1, "filters": {"price": {}}}, "filters"),
    ({"user": 1, "filters": {"price": {"most": 1}}}, "filters.price.most"),
    ({"user": 1, "filters": {"price": {"min": float("nan")}}}, "filters.price.min"),
    ({"user": 1, "filters": {"price": {"min": "cheap"}}}, "filters"),
    ({"user": 1, "filters": {"genres": [[]]}}, "filters.genres[0]"),
    ({"user": 1, "diversity": 1.5}, "diversity"),
    ({"user": 1, "at_most": {"column": "colour", "items": 2}}, "at_most"),
    ({"user": 1, "at_most": {"column": "genres", "items": 0}}, "at_most.items"),
    ({"user": 1, "context": {"hour": 3}}, "context"),
    ({"user": 1, "context": {"hour": float("inf")}}, "context"),
    ({"user": 1, "context": 3}, "context"),
]
EVENTS = [
    ({}, "user"),
    ([], None),
    ({"user": 1, "item": ""}, "item"),
    ({"user": 1, "item": 1.0}, "item"),
    ([{"user": 1, "item": 101}, {"user": 1, "itme": 101}], "[1].itme"),
    ([{"user": 1, "item": 101}, 7], "[1]"),
    ({"user": 1, "item": 101, "timestamp": "now"}, "timestamp"),
    ({"user": 1, "item": 101, "timestamp": float("nan")}, "timestamp"),
    ({"user": 1, "item": 101, "timestamp": 1.7e12}, "timestamp"),
    ({"user": 1, "item": 101, "timestamp": True}, "timestamp"),
    ({"user": 1, "item": 101, "type": 3}, "type"),
    ({"user": 1, "item": 101, "type": "exposure"}, "type"),
    ({"user": 1, "item": 101, "type": "added_item"}, "type"),
    ({"user": 1, "item": 101, "id": ""}, "id"),
    ({"user": 1, "item": 101, "context": {"price": float("nan")}}, "context"),
    ([{"user": 1, "context": {"a": [{"b": [float("-inf")]}]}}], "[0].context"),
    ({"user": 1, "item": 101, "context": {"a": 10**30}}, "context"),
    ({"user": 1, "item": 101, "context": json.loads("[" * 40 + "]" * 40)}, "context"),
    ({"user": 1, "item": 101, "context": {"a": json.loads("[" * 40 + "]" * 40)}}, "context"),
    ({"user": 1, "item": 101, "context": {"a": json.loads("[" * 300 + "]" * 300)}}, "context"),
    ([{"user": 1, "item": "\udc00"}], "[0].item"),
]
ITEMS = [
    ({}, "item"),
    ([], None),
    ({"item": 1.5}, "item"),
    ({"item": "play"}, "item"),
    ({"item": 900, "title": "The Play"}, "title"),
    ({"item": 900, "columns": []}, "columns"),
    ({"item": 900, "columns": {"colour": "red"}}, "columns"),
    ({"item": 900, "columns": {"price": float("nan")}}, "columns"),
    ([{"item": 900}, {"item": 901, "columns": {"price": "cheap"}}], "[1].columns"),
    ([{"item": 900}, {"item": "\ud800"}], "[1].item"),
    ([{"item": 900}] * 1001, None),
]
BROKEN = [b"", b"{", b"nul", b'"\xff"', b"[" * 100_000, b"1" * 5000, b"[1, 2", b"{'user': 1}", b"3", b'"a"']


def expect_error(answer, status: int, field: str | None = None) -> str:
    assert answer.status_code == status, answer.text
    found = answer.json()
    assert found.keys() == {"error", "field", "id"} and found["field"] == field, answer.text
    assert "\n" not in found["error"] and len(found["error"]) < 400
    assert not re.search(r"Traceback|\.py|/tmp|/home|site-packages", answer.text), answer.text
    return found["error"]


def post(client, path: str, content, kind: str = "application/json"):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    return client.post(path, content=content, headers={"Content-Type": kind})


@pytest.mark.parametrize(("body", "field"), LISTS)
def test_a_wrong_request_names_its_field(body, field, client):
    error = expect_error(post(client, "/recommend", body), 422, field)
    assert error.startswith(field.partition("[")[0])


@pytest.mark.parametrize(("body", "field"), EVENTS)
def test_a_wrong_event_names_its_field_and_nothing_is_stored(body, field, client, store):
    expect_error(post(client, "/events", body), 422, field)
    assert len(store) == 0


@pytest.mark.parametrize(("body", "field"), ITEMS)
def test_a_wrong_item_names_its_field_and_nothing_is_stored(body, field, with_context, store):
    with TestClient(create_app(Service(with_context, store))) as client:
        expect_error(post(client, "/items", body), 422, field)
    assert len(store) == 0


def test_a_model_that_reads_no_side_features_takes_no_items(client, store):
    error = expect_error(post(client, "/items", {"item": 900}), 422)
    assert "the model reads no side features of items" in error and len(store) == 0


@pytest.mark.parametrize("path", ["/recommend", "/events", "/items"])
@pytest.mark.parametrize("body", BROKEN, ids=lambda body: body[:8].decode(errors="replace") or "empty")
def test_what_is_not_json_is_refused(path, body, client):
    expect_error(post(client, path, body), 422)


def test_a_page_of_another_site_cannot_post_a_form(client, store):
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        expect_error(post(client, "/events", {"user": 1, "item": 101}, kind), 422)
    expect_error(client.post("/events", content=b'{"user": 1, "item": 101}'), 422)  # no type at all
    assert len(store) == 0


def test_routes_and_methods_that_do_not_exist(client):
    for path in ("/nothing", "/page/../app.py", "/page/%2e%2e%2fapp.py", "/page/", "/explode"):
        expect_error(client.get(path), 404)
    expect_error(client.get("/recommend"), 405)
    expect_error(client.get("/similar/"), 422, "item")
    expect_error(client.get("/similar/101?k=0"), 422, "k")
    expect_error(client.get("/similar/101?k=many"), 422, "k")


def test_unknown_ids_are_no_mistake(client):
    body = {"user": "nobody", "exclude": ["a", 1], "candidates": [101, "102", "x", -5], "k": 3}
    answer = post(client, "/recommend", body)
    assert {entry["item"] for entry in answer.json()["items"]} == {101, 102}, answer.text
    body = {"session": ["a", 101, "102", 999], "k": 3, "candidates": []}
    assert post(client, "/recommend", body).json()["items"] == []
    events = [{"user": "7", "item": "101"}, {"user": "x", "item": "a new one"}, {"user": 7}]
    assert post(client, "/events", events).json() == {"positions": [1, 2, 3]}
    for user in ("7", "x", "7/8", "%FF", "٣"):
        assert client.get(f"/users/{user}").status_code == 200


CONTEXTS = [
    {"device": "phone", "hour": 8}, {"device": 3, "hour": "8"}, {"device": None, "hour": None},
    {"device": ["a"], "hour": 1.5}, {"device": {"a": 1}, "hour": 3}, {"device": True, "hour": False},
    {"device": "phone", "hour": "night"}, {"device": "phone", "hour": [1]}, {"device": "phone"},
    {"device": "phone", "hour": 1e300}, {"device": "phone", "hour": 2**62}, {"device": "", "hour": {}},
]  # fmt: skip


def test_contexts_of_any_type_are_answered_or_refused(with_context, store):
    with TestClient(create_app(Service(with_context, store))) as client:
        for context in CONTEXTS:
            answer = post(client, "/recommend", {"user": 2, "context": context, "k": 3})
            if answer.status_code == 200:
                assert len(answer.json()["items"]) == 3
                assert all(isinstance(entry["score"], float) for entry in answer.json()["items"]), context
            else:
                expect_error(answer, 422, "context")
            event = {"user": 3, "item": 101, "context": context}
            assert post(client, "/events", event).status_code == 200
            assert len(post(client, "/recommend", {"user": 3, "k": 3}).json()["items"]) == 3
