"""The routes: what they answer, and that an event changes the next list."""

import time

import pytest
from fastapi.testclient import TestClient

from tests.serving.http.served import write_bundle
from torchrec_ext.serving import Service
from torchrec_ext.serving.http import create_app


def items(answer) -> list:
    assert answer.status_code == 200, answer.text
    return [entry["item"] for entry in answer.json()["items"]]


def test_a_list_has_items_with_scores_and_titles(client):
    answer = client.post("/recommend", json={"user": 2, "k": 3}).json()
    assert answer["source"] == "model" and answer["bundle"] == "first" and answer["milliseconds"] is None
    assert len(answer["items"]) == 3
    assert all(entry["title"] == f"Film {entry['item']}" for entry in answer["items"])
    scores = [entry["score"] for entry in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_every_field_of_a_request_counts(client):
    first = items(client.post("/recommend", json={"user": 2, "k": 4}))
    without = items(client.post("/recommend", json={"user": 2, "k": 3, "exclude": first[:1]}))
    assert without == first[1:4]
    assert items(client.post("/recommend", json={"user": 2, "candidates": first[2:]})) == first[2:]
    cheap = items(client.post("/recommend", json={"user": 2, "k": 30, "filters": {"price": {"max": 5}}}))
    odd = items(client.post("/recommend", json={"user": 2, "k": 30, "filters": {"genres": ["odd"]}}))
    assert 0 < len(cheap) < 30 and all(item % 2 for item in odd)
    seen = items(client.post("/recommend", json={"user": 2, "k": 30, "exclude_seen": False}))
    assert len(seen) == 30
    timed = client.post("/recommend", json={"user": 2, "timings": True}).json()["milliseconds"]
    assert timed.keys() == {"waiting", "history", "query", "search"} and min(timed.values()) >= 0
    genres = {"column": "genres", "items": 2}
    varied = items(client.post("/recommend", json={"user": 2, "k": 30, "at_most": genres, "diversity": 0.5}))
    assert len([item for item in varied if item % 2]) == 2
    session = items(client.post("/recommend", json={"session": [101, 102], "k": 5}))
    assert len(session) == 5 and not {101, 102} & {*session}


def test_the_next_list_knows_an_event(client, store):
    assert client.post("/recommend", json={"user": "new"}).json()["source"] == "popular"
    stored = client.post("/events", json={"user": "new", "item": 105})
    assert stored.json() == {"positions": [1]}
    assert abs(store.after(0, 1)[0][1].timestamp - time.time()) < 60
    answer = client.post("/recommend", json={"user": "new", "k": 30})
    assert answer.json()["source"] == "model" and 105 not in items(answer)
    event = {"user": "new", "type": "click", "context": {"device": "phone"}}
    several = [event | {"item": 106, "id": "a"}, event | {"item": 107}, event | {"item": 106, "id": "a"}]
    assert client.post("/events", json=several).json() == {"positions": [2, 3, 2]}
    assert not {105, 106, 107} & {*items(client.post("/recommend", json={"user": "new", "k": 30}))}
    found = client.get("/users/new").json()
    assert [entry["item"] for entry in found["events"]] == [107, 106, 105]
    assert found["events"][0]["title"] == "Film 107"


def test_a_new_item_is_in_lists_with_its_title(with_context, store):
    with TestClient(create_app(Service(with_context, store))) as client:
        play = {"item": 900, "columns": {"genres": ["odd"], "price": 4.5, "title": "The Play"}}
        assert client.post("/items", json=play).json() == {"positions": [1]}
        several = [{"item": 901, "columns": {"title": "Another"}}, {"item": "902"}]
        assert client.post("/items", json=several).json() == {"positions": [2, 3]}
        found = client.post("/recommend", json={"user": 2, "k": 40, "exclude_seen": False}).json()["items"]
        titles = {entry["item"]: entry["title"] for entry in found}
        assert len(titles) == 33 and (titles[900], titles[901], titles[902]) == ("The Play", "Another", None)
        assert len(items(client.get("/similar/900?k=3"))) == 3
        client.post("/events", json={"user": 2, "item": 900})
        assert client.get("/users/2").json()["events"][0]["title"] == "The Play"
        assert 900 not in items(client.post("/recommend", json={"user": 2, "k": 40}))
        lines = client.get("/metrics").text.splitlines()
        assert "torchrec_ext_items_total 3.0" in lines
        assert 'torchrec_ext_requests_total{route="/items",status="200"} 2.0' in lines


def test_similar_items(client):
    found = items(client.get("/similar/101?k=5"))
    assert len(found) == 5 and 101 not in found
    missing = client.get("/similar/999")
    assert missing.status_code == 404 and missing.json()["error"] == "item: '999' is not known"


def test_an_explanation_names_the_events_newest_first(client):
    client.post("/events", json=[{"user": "new", "item": item} for item in (101, 102)])
    answer = client.post("/explain", json={"user": "new", "item": 103}).json()
    assert [(event["item"], event["title"]) for event in answer["events"]] == [
        (102, "Film 102"), (101, "Film 101"),
    ]  # fmt: skip
    events = {event["title"]: event["effect"] for event in answer["events"]}
    best = max(events, key=events.get)
    assert best in answer["because"] or max(events.values()) < 0.001 * abs(answer["score"])
    session = client.post("/explain", json={"session": [101, 102], "item": 103}).json()
    assert [event["effect"] for event in session["events"]] == [event["effect"] for event in answer["events"]]
    assert session["score"] == pytest.approx(answer["score"], abs=1e-6) and session["fields"] == {}
    stranger = client.post("/explain", json={"user": "stranger", "item": 103}).json()
    assert stranger["because"].startswith("Nothing that is known of you raised the score of Film 103")
    missing = client.post("/explain", json={"user": 1, "item": "x"})
    assert missing.status_code == 422 and missing.json()["field"] == "item"


def test_users_of_the_bundle_and_their_events(client):
    users = client.get("/users?count=5").json()["users"]
    assert len(users) == 5 and users[0] == 1
    found = client.get("/users/1").json()
    assert found["user"] == 1 and len(found["events"]) == 20
    times = [entry["timestamp"] for entry in found["events"]]
    assert times == sorted(times, reverse=True)
    assert client.get("/users/nobody/else").json() == {"user": "nobody/else", "events": []}


def test_ids_may_be_strings(tmp_path, store):
    service = Service(write_bundle(tmp_path / "bundle", strings=True), store)
    with TestClient(create_app(service)) as client:
        assert client.get("/users?count=1").json() == {"users": ["u1"]}
        assert client.get("/users/u2").json()["events"][0]["title"].startswith("Film ")
        assert len(items(client.get("/similar/i101?k=3"))) == 3
        client.post("/events", json=[{"user": "7", "item": "i101"}, {"user": 7, "item": "i102"}])
        answer = client.post("/recommend", json={"user": "7", "k": 30})
        assert not {"i101", "i102"} & {*items(answer)}
        assert answer.json()["items"][0]["title"] == "Film " + items(answer)[0][1:]


def test_health_says_which_bundle_answers_and_where_the_log_stands(client):
    client.post("/events", json=[{"user": 1, "item": 101}] * 3)
    client.post("/recommend", json={"user": 1})
    found = client.get("/health").json()
    assert found["status"] == "ok" and found["bundle"] == "first" and found["position"] == 3
    assert found["uptime_seconds"] >= 0 and found["list_milliseconds"]["p99"] > 0
    assert client.get("/ready").json() == {"ready": True}


def test_metrics_count_requests_events_and_batches(client):
    client.post("/events", json=[{"user": 1, "item": 101}] * 3)
    client.post("/recommend", json={"user": 1})
    client.post("/recommend", json={"user": 1, "k": 0})
    client.get("/users/a-user-who-is-no-label")
    client.get("/nothing/here")
    lines = client.get("/metrics").text.splitlines()
    for line in (
        'torchrec_ext_requests_total{route="/recommend",status="200"} 1.0',
        'torchrec_ext_requests_total{route="/recommend",status="422"} 1.0',
        'torchrec_ext_requests_total{route="/users",status="200"} 1.0',
        'torchrec_ext_requests_total{route="other",status="404"} 1.0',
        'torchrec_ext_request_seconds_count{route="/recommend"} 1.0',
        "torchrec_ext_events_total 3.0",
        "torchrec_ext_batch_size_count 1.0",
        "torchrec_ext_in_flight_requests 1.0",  # this one
    ):
        assert line in lines, line


@pytest.mark.parametrize(
    "path", ["/", "/docs", "/page/page.js", "/page/page.css", "/page/docs.js", "/page/icon.svg"]
)
def test_the_page_loads_nothing_from_elsewhere(client, path):
    answer = client.get(path)
    assert answer.status_code == 200 and "default-src 'self'" in answer.headers["content-security-policy"]
    assert "http://" not in answer.text.replace("http://www.w3.org", "") and "https://" not in answer.text
