"""Histories in memory hold each event of the log once, whoever has stored it."""

from functools import partial

import pytest

from tests.retrieval.trained import trained
from torchrec_ext.serving import ListRequest, ServedEvent, Service, SqliteEventStore, StoreError, export

EVENTS = [ServedEvent("new", 100 + place, 1.6e9 + place, id=f"e{place}") for place in range(1, 5)]


def service(tmp_path, store) -> Service:
    return Service(export(trained("history"), tmp_path / "bundle"), store)


def items(service: Service) -> list:
    return [item for item, _ in service.history("new")]


def test_an_event_that_is_sent_again_counts_once(tmp_path):
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        served = service(tmp_path, store)
        assert items(served) == []
        assert served.add_events([*EVENTS[:2], EVENTS[0]]) == [1, 2, 1]
        assert items(served) == [101, 102]
        assert served.add_events([EVENTS[1], EVENTS[2]]) == [2, 3]
        assert items(served) == [101, 102, 103]


@pytest.mark.parametrize("kind", ["sqlite", "kafka"])
def test_a_service_knows_what_another_has_stored(kind, tmp_path, request):
    path = tmp_path / "events.sqlite"
    open_store = (
        partial(SqliteEventStore, path) if kind == "sqlite" else request.getfixturevalue("open_kafka")
    )
    with open_store() as store, open_store() as same:
        first = service(tmp_path, store)
        second = Service(tmp_path / "bundle", same)
        assert items(first) == items(second) == []
        second.add_events(EVENTS[2:])
        assert items(first) == items(second) == [103, 104]
        first.add_events(EVENTS[:2])  # older ones, which arrive later
        assert items(first) == items(second) == [101, 102, 103, 104]
        request = ListRequest("new", k=5)
        assert first.recommend(request).items == second.recommend(request).items


def test_users_in_memory_get_lists_while_the_store_cannot_be_read(tmp_path):
    store = SqliteEventStore(tmp_path / "events.sqlite")
    served = service(tmp_path, store)
    served.add_events(EVENTS)
    request = ListRequest("new", k=5)
    before = served.recommend(request).items
    store.close()
    assert served.recommend(request).items == before
    with pytest.raises(StoreError, match="the event log is closed"):
        served.recommend(ListRequest("another"))
