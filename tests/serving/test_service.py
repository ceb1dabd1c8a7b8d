"""Service: the lists of recommend(), and each event known at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest

from tests.retrieval.trained import EVENTS
from tests.serving.models import CONTEXT, context_of, frame, model
from torchrec_ext.data import read_events
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import recommend
from torchrec_ext.serving import (
    ListRequest,
    ServedEvent,
    Service,
    SqliteEventStore,
    export,
)

NAMES = (
    "encoder gru", "encoder sasrec", "encoder hstu", "encoder bert4rec", "encoder comirec", "encoder caser",
    "fields", "context", "factorization", "scorer neumf", "attention din", "hard search", "interaction dot",
)  # fmt: skip
LATER = [
    ServedEvent(2, 105, 1.7e9, context={"device": "desk", "hour": 3.0}),
    ServedEvent(2, 117, 1.7e9 + 60, context={"device": "phone", "hour": 3.0}),
]


@pytest.fixture
def store(tmp_path):
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        yield store


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundles")
    made = {}

    def bundle(name):
        if name not in made:
            made[name] = export(model(name), folder / name, events=EVENTS)
        return made[name]

    return bundle


def expect_list(found, trained, events, user, k=5, **more):
    wanted = recommend(trained, events, [user], k, context=context_of(trained), **more)
    assert found.items == wanted["item"].tolist() and {found.source} == {*wanted["source"]}
    np.testing.assert_allclose(found.scores, wanted["score"], atol=2e-5)


def with_later(later) -> pd.DataFrame:
    rows = [
        {"user": e.user, "item": e.item, "timestamp": e.timestamp, "rating": 5, **e.context} for e in later
    ]
    return read_events(pd.concat([frame(), pd.DataFrame(rows)[frame().columns]]), context=["device", "hour"])


@pytest.mark.parametrize("name", NAMES)
def test_lists_are_those_of_recommend_before_and_after_events(name, bundles, store):
    trained, service = model(name), Service(bundles(name), store)
    context = context_of(trained)
    for user in (1, 2):
        expect_list(service.recommend(ListRequest(user, k=5, context=context)), trained, EVENTS, user)
    for count in (1, 2):
        service.add_events(LATER[count - 1 : count])
        found = service.recommend(ListRequest(2, k=5, context=context))
        expect_list(found, trained, with_later(LATER[:count]), 2)
    again = Service(bundles(name), store).recommend(ListRequest("2", k=5, context=context))
    assert again.items == found.items
    np.testing.assert_allclose(again.scores, found.scores, atol=1e-5)


def test_a_streaming_state_advances_by_one_step_an_event(bundles, store, monkeypatch):
    bundle = bundles("encoder gru")
    encoder = bundle.model.module.towers.query_tower.encoder
    steps, step = [], encoder.step
    monkeypatch.setattr(encoder, "step", lambda *given: steps.append(1) or step(*given))
    service = Service(bundle, store)
    service.recommend(ListRequest(1))
    assert not steps  # nothing has happened since: the history is read as a whole
    for place in range(3):
        service.add_events([ServedEvent(1, 101 + place, 1.7e9 + place)])
        service.recommend(ListRequest(1))
    service.recommend(ListRequest(1))
    assert len(steps) == 20 + 2  # max_length once, then one an event


def test_an_event_that_arrives_late_stands_at_its_time(bundles, store):
    service = Service(bundles("encoder gru"), store)
    for event in reversed(LATER):
        service.add_events([event])
        found = service.recommend(ListRequest(2, k=5))
    expect_list(found, model("encoder gru"), with_later(LATER), 2)
    assert [item for item, _ in service.history(2)][-2:] == [105, 117]


def test_a_stranger_gets_popular_items_and_then_lists_of_their_own(bundles, store):
    service = Service(bundles("encoder gru"), store)
    popular = service.recommend(ListRequest("stranger", k=3))
    counts = frame()["item"].value_counts()
    assert popular.source == "popular" and popular.scores == sorted(counts, reverse=True)[:3]
    service.add_events([ServedEvent("stranger", "101", 1.7e9)])
    own = service.recommend(ListRequest("stranger", k=3))
    as_session = service.recommend(ListRequest(session=[101], k=3))
    assert own.source == "model" and own.items == as_session.items and 101 not in own.items
    wanted = recommend(model("encoder gru"), sessions=[[101]], k=3)
    assert own.items == wanted["item"].tolist()


def test_lists_are_restricted(bundles, store):
    service = Service(bundles("encoder gru"), store)
    items = EVENTS.items
    cheap = items["price"].between(2, 6)
    odd = items["genres"].map(lambda genres: "odd" in genres)
    filters = {"price": {"min": 2, "max": 6}, "genres": ["odd"]}
    wanted = {"where": cheap & odd}
    trained = model("encoder gru")
    expect_list(service.recommend(ListRequest(2, k=5, filters=filters)), trained, EVENTS, 2, **wanted)
    everything = service.recommend(ListRequest(2, k=50, exclude_seen=False))
    assert len(everything.items) == len({*everything.items}) == EVENTS.count("item")
    few = service.recommend(ListRequest(2, candidates=[101, 102, "103", 999], exclude_seen=False))
    assert {*few.items} == {101, 102, 103}
    rest = service.recommend(ListRequest(2, candidates=[101, 102], exclude=["102"], exclude_seen=False))
    assert rest.items == [101]
    assert service.recommend(ListRequest(2, candidates=[])).items == []
    strangers = service.recommend(ListRequest("x", candidates=[101, 102], exclude=[101]))
    assert strangers.items == [102] and strangers.source == "popular"


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (ListRequest(), "user: give either user or session, received neither"),
        (ListRequest(1, session=[101]), "received both"),
        (ListRequest(1, k=0), "k should be from 1 to 1000, received 0"),
        (ListRequest(1, k=10**6), "k should be"),
        (ListRequest(1, k=True), "k should be"),
        (ListRequest(1, context={"device": "phone"}), "context is given, but the model reads none"),
        (ListRequest(1, filters={"prize": [1]}), "filters: no column 'prize' of the items.*price"),
        (ListRequest(1, filters={"price": 3}), "filters: 'price' should be a list"),
        (ListRequest(1, filters={"price": {"max": "cheap"}}), "price"),
    ],
)
def test_requests_that_make_no_sense_are_refused_by_field(request_, message, bundles, store):
    service = Service(bundles("encoder gru"), store)
    with pytest.raises(InputError, match=message):
        service.recommend(request_)
    found = service.recommend_many([request_, ListRequest(2, k=2)])
    assert isinstance(found[0], InputError) and len(found[1].items) == 2


def test_context_must_be_complete(bundles, store):
    service = Service(bundles("context"), store)
    with pytest.raises(InputError, match="context lacks 'hour'"):
        service.recommend(ListRequest(1, context={"device": "phone"}))
    without = service.recommend(ListRequest(1, k=5))
    trained = model("context")
    wanted = recommend(trained, EVENTS, [1], 5)
    assert without.items == wanted["item"].tolist()


def test_requests_together_get_the_lists_they_get_alone(bundles, store):
    service = Service(bundles("context"), store)
    requests = [
        ListRequest(1, k=3, context=CONTEXT), ListRequest("new"), ListRequest(3, k=7),
        ListRequest(5, filters={"genres": ["third"]}), ListRequest(session=[101, 102]),
    ]  # fmt: skip
    together = service.recommend_many(requests)
    for request, found in zip(requests, together, strict=True):
        alone = service.recommend(request)
        assert found.items == alone.items
        np.testing.assert_allclose(found.scores, alone.scores, atol=1e-6)
        assert found.milliseconds.keys() <= {"history", "query", "search", "rank", "rerank"}


def test_similar_items_are_those_of_the_model(bundles, store):
    service = Service(bundles("encoder gru"), store)
    wanted = model("encoder gru").similar_items(105, 4)
    assert service.similar("105", 4).items == wanted["similar"].tolist()
    with pytest.raises(InputError, match="999"):
        service.similar(999)


def test_a_swap_loses_no_request(bundles, store):
    service = Service(bundles("encoder gru"), store, name="one")
    service.add_events(LATER)
    stop, names = threading.Event(), set()

    def ask(user):
        while not stop.is_set():
            names.add(service.recommend(ListRequest(user, k=3)).bundle)

    with ThreadPoolExecutor(3) as threads:
        asking = [threads.submit(ask, user) for user in (1, 2, 3)]
        service.swap(bundles("encoder sasrec"), name="two")
        while "two" not in names:
            pass
        stop.set()
        for one in asking:
            one.result()
    assert names == {"one", "two"} and service.bundle == "two"
    expect_list(service.recommend(ListRequest(2, k=5)), model("encoder sasrec"), with_later(LATER), 2)


def test_histories_beyond_the_most_are_read_again(bundles, store):
    service = Service(bundles("encoder gru"), store)
    service._stages.first.users.most_users = 2
    service.add_events(LATER)
    first = [service.recommend(ListRequest(user, k=4)).items for user in (1, 2, 3, 4)]
    assert [service.recommend(ListRequest(user, k=4)).items for user in (1, 2, 3, 4)] == first


@pytest.mark.parametrize("name", ["encoder gru", "fields", "context", "attention din", "interaction dot"])
def test_an_explanation_has_the_score_of_the_list_each_event_and_each_feature(name, bundles, store):
    trained, service = model(name), Service(bundles(name), store)
    request = ListRequest(3, k=30, context=context_of(trained), exclude_seen=False)
    listed = service.recommend(request)
    found = service.explain(request, str(listed.items[4]))
    assert found.score == pytest.approx(listed.scores[4], abs=1e-5)
    assert len(found.events) == len(service.history(3))
    assert found.fields.keys() == {*trained.inputs.fields, *trained.inputs.dense}
    with pytest.raises(InputError, match="item: 'none' is not in the catalogue"):
        service.explain(request, "none")


@pytest.mark.parametrize("name", ["encoder gru", "encoder comirec", "attention din"])
def test_an_event_counts_what_the_score_loses_without_it(name, bundles, store):
    service = Service(bundles(name), store)
    items = [101, 107, 113, 120]

    def score(session):
        found = service.recommend(ListRequest(session=session, k=30, exclude_seen=False))
        return found.scores[found.items.index(115)]

    found = service.explain(ListRequest(session=items), 115)
    lost = [score(items) - score(items[:place] + items[place + 1 :]) for place in range(len(items))]
    np.testing.assert_allclose(found.events, lost, atol=1e-5)


def test_a_feature_counts_what_the_score_loses_when_it_is_unknown(bundles, store):
    service = Service(bundles("context"), store)
    item, score = 115, {}
    for device in ("phone", "never seen"):
        request = ListRequest(3, k=30, context={"device": device, "hour": 8.0}, exclude_seen=False)
        found = service.recommend(request)
        score[device] = found.scores[found.items.index(item)]
    known = ListRequest(3, context={"device": "phone", "hour": 8.0})
    lost = service.explain(known, item).fields["context_device"]
    assert lost == pytest.approx(score["phone"] - score["never seen"], abs=1e-5) and lost != 0


def test_a_ranker_orders_the_candidates_of_the_retriever(bundles, store):
    service = Service(bundles("encoder gru"), store, ranker=bundles("attention din"), retrieve=8)
    for who in ({"user": 3}, {"session": [101, 107]}):
        few = service.recommend(ListRequest(**who, k=5, exclude_seen=False))
        candidates = Service(bundles("encoder gru"), store).recommend(
            ListRequest(**who, k=8, exclude_seen=False)
        )
        ranked = Service(bundles("attention din"), store).recommend(
            ListRequest(**who, k=5, exclude_seen=False, candidates=candidates.items)
        )
        assert few.items == ranked.items and few.scores == pytest.approx(ranked.scores, abs=1e-6)
        assert few.milliseconds["rank"] > 0
    service.add_events([ServedEvent(3, 110, 1.7e9)])
    changed = service.recommend(ListRequest(3, k=5, exclude_seen=False))
    assert changed.scores != few.scores and 110 in [item for item, _ in service.history(3)]


def test_lists_are_reranked(bundles, store):
    service = Service(bundles("encoder gru"), store, retrieve=20)
    plain = service.recommend(ListRequest(3, k=6))
    diverse = service.recommend(ListRequest(3, k=6, diversity=0.9))
    assert diverse.items[0] == plain.items[0] and {*diverse.items} != {*plain.items}
    genres = EVENTS.items.set_index("item")["genres"]
    limited = service.recommend(ListRequest(3, k=6, at_most=("genres", 2)))
    assert genres[limited.items].explode().value_counts().max() == 2
    for request, message in (
        (ListRequest(3, diversity=2), "diversity should be from 0 to 1"),
        (ListRequest(3, at_most=("genre", 2)), "at_most: no column 'genre' .*did you mean 'genres'"),
    ):
        with pytest.raises(InputError, match=message):
            service.recommend(request)


def test_exploration_shows_candidates_by_chance_and_logs_how_likely_they_were(bundles, store):
    epsilon, pool, k = 0.5, 10, 3
    service = Service(
        bundles("encoder gru"), store, retrieve=pool, epsilon=epsilon, log_exposures=True, seed=1
    )
    best = Service(bundles("encoder gru"), store).recommend(ListRequest(3, k=k)).items
    lists = [service.recommend(ListRequest(3, k=k)) for _ in range(60)]
    assert 15 < sum(found.items != best for found in lists) < 45
    for found in lists:
        wanted = [epsilon / pool + (1 - epsilon) * (i == b) for i, b in zip(found.items, best, strict=True)]
        assert found.probabilities == pytest.approx(wanted)
    logged = store.last(3, 100)
    assert [event.context["items"] for event in logged] == [found.items for found in lists]
    assert logged[0].context["probabilities"] == lists[0].probabilities and logged[0].type == "exposure"
    before = service.history(3)
    again = Service(bundles("encoder gru"), store)
    assert again.history(3) == before and again.recommend(ListRequest(3, k=k)).items == best
    service.recommend(ListRequest(session=[101]))
    assert store.position == 60
    with pytest.raises(InputError, match="epsilon should be from 0 to 1"):
        Service(bundles("encoder gru"), store, epsilon=2)
    with pytest.raises(InputError, match="retrieve should be at least 1, received 0"):
        Service(bundles("encoder gru"), store, retrieve=0)


def test_lists_go_on_where_exposures_cannot_be_logged(bundles, store, caplog):
    service = Service(bundles("encoder gru"), store, log_exposures=True)
    service.recommend(ListRequest(3))
    store.close()
    assert len(service.recommend(ListRequest(3)).items) == 10
    assert "1 exposures are not logged" in caplog.text
