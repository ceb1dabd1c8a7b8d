"""Histories in memory hold each event of the log once, whatever the order in which threads report them."""

from tests.retrieval.trained import trained
from torchrec_ext.serving import ServedEvent, Service, SqliteEventStore, export

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


def test_a_thread_that_stored_first_and_reports_last_loses_nothing(tmp_path):
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        served = service(tmp_path, store)
        assert items(served) == []
        positions = store.append(EVENTS)
        users = served.live.users
        users.add(EVENTS[2:], positions[2:])
        users.add(EVENTS[:2], positions[:2])
        assert items(served) == [101, 102, 103, 104]
