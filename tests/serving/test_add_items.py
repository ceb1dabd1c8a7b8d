"""Service.add_items: an item that no training has seen stands in lists by its side features."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.retrieval.trained import EVENTS as WITHOUT_TITLES
from tests.retrieval.trained import TRAIN
from tests.serving.models import model
from torchrec_ext.data import join_events
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import ExactIndex, TrainedModel
from torchrec_ext.serving import (
    FaissIndex,
    ListRequest,
    NewItem,
    ServedEvent,
    Service,
    SqliteEventStore,
    StoreError,
    export,
)
from torchrec_ext.serving.index_with_added import IndexWithAdded
from torchrec_ext.serving.logged_events import as_events, as_items
from torchrec_ext.training.grow_preparation import grow_preparation

EVENTS = replace(
    WITHOUT_TITLES,
    items=WITHOUT_TITLES.items.assign(title=[f"Film {item}" for item in WITHOUT_TITLES.items["item"]]),
)
ODD, EVEN = ([item for item in range(101, 131) if item % 2 == odd] for odd in (1, 0))
PLAY = NewItem(900, {"genres": ["odd"], "price": 4.5, "title": "The Play"})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Odd and even items point in two directions, by their ids and by their genres; unknown ids in none."""
    join_group()
    torch.manual_seed(0)
    module = TwoTower(TRAIN.schema, 4, "mean_pool", item_fields=("item_genres",))
    shard(module)
    folder = tmp_path_factory.mktemp("bundles") / "odd"
    found = export(TrainedModel(module.eval(), TRAIN.preparation), folder, events=EVENTS)
    tables, vocabularies = found.model.module.embeddings.tables, found.model.preparation.vocabularies
    items, genres = tables["item"].weight.zero_(), tables["item_genres"].weight.zero_()
    for row, item in enumerate(vocabularies["item"].index, 1):
        items[row, 0 if item % 2 else 1] = 1.0
        items[row, 2] = row / 1000  # no two items are alike
    for place, genre in enumerate(("odd", "even")):
        genres[vocabularies["item_genres"].rows([genre])[0], place] = 1.0
    mix = found.model.module.towers.item_tower.mix
    mix.weight.data = torch.cat([torch.eye(4), torch.eye(4)], 1)
    mix.bias.data.zero_()
    return found


@pytest.fixture
def store(tmp_path):
    with SqliteEventStore(tmp_path / "events.sqlite") as store:
        yield store


def likes_odd(service, **more):
    """The list of a visitor whose query is (1, 0, small, 0)."""
    return service.recommend(ListRequest(session=[101, 103], **{"k": 40, "exclude_seen": False} | more))


def test_a_new_item_stands_behind_the_learnt_ones_of_its_kind(bundle, store):
    service = Service(bundle, store)
    before = likes_odd(service)
    assert service.add_items([PLAY]) == [1]
    found = likes_odd(service)
    scores = dict(zip(found.items, found.scores, strict=True))
    assert {*found.items[:15]} == {*ODD} and found.items[15] == 900 and {*found.items[16:]} == {*EVEN}
    assert scores[900] == 1.0 and min(scores[item] for item in ODD if item % 3) > 1.9
    assert [item for item in found.items if item != 900] == before.items
    assert len(before.items) == 30 and len(found.items) == 31
    similar = service.similar("900", 16)
    assert {*similar.items[:15]} == {*ODD} and similar.scores[0] > 0.99 > 0.1 > similar.scores[15]
    assert 900 in service.similar(101, 15).items
    explained = service.explain(ListRequest(session=[101, 102]), 900)
    assert explained.score == 0.5 and explained.events == [0.5, -0.5]
    assert service.live.filters.column("title")[service.live.item_row(900)] == "The Play"


def test_every_part_of_a_request_knows_it(bundle, store):
    service = Service(bundle, store)
    service.add_items([PLAY, NewItem(901, {"genres": ["even", "third"]})])
    assert likes_odd(service, k=16).items[-1] == 900 and 900 not in likes_odd(service, k=15).items
    assert 900 not in likes_odd(service, exclude=["900"]).items
    assert likes_odd(service, candidates=[900, 901, 102]).items == [900, 102, 901]
    assert 900 in likes_odd(service, filters={"price": {"min": 4.4, "max": 4.6}, "genres": ["odd"]}).items
    assert likes_odd(service, filters={"title": ["The Play"]}).items == [900]
    assert 901 not in likes_odd(service, filters={"price": {"min": 0}}).items  # it has none
    limited = likes_odd(service, at_most=("genres", 2), diversity=0.1)
    assert sum(item in (*ODD, 900) for item in limited.items) == 2
    popular = service.recommend(ListRequest("stranger", k=40))
    assert popular.items[-2:] == [900, 901] and popular.scores[-2:] == [0, 0]


def test_items_of_the_table_without_an_event_are_in_nobody_s_way_and_can_be_added(bundle, store):
    others = [901, 902, 903]
    more = pd.DataFrame({"item": others, "genres": [["odd"]] * 3, "price": [1.0] * 3, "title": ["Other"] * 3})
    items = pd.concat([EVENTS.items, more], ignore_index=True)
    service = Service(bundle._replace(events=replace(EVENTS, items=items)), store)
    assert not {*others} & {*likes_odd(service, at_most=("genres", 40)).items}
    assert likes_odd(service, filters={"title": ["Other"]}).items == []
    service.add_items([NewItem(902, {"genres": ["odd"], "title": "Another"})])
    assert 902 in likes_odd(service, at_most=("genres", 40)).items
    assert likes_odd(service, filters={"title": ["Other", "Another"]}).items == [902]


@pytest.mark.parametrize("first", ["event", "item"])
def test_an_event_of_it_is_seen_whether_it_comes_before_or_after(first, bundle, store):
    service = Service(bundle, store)
    service.recommend(ListRequest("ann", k=3))  # so that her history is in memory
    if first == "item":
        service.add_items([PLAY])
    service.add_events([ServedEvent("ann", 900, 1.7e9), ServedEvent("ann", 101, 1.7e9 + 1)])
    assert 101 not in service.recommend(ListRequest("ann", k=40)).items
    if first == "event":
        service.add_items([PLAY])
    assert not {101, 900} & {*service.recommend(ListRequest("ann", k=40)).items}
    assert service.history("ann") == [(900, 1.7e9), (101, 1.7e9 + 1)]
    service.add_events([ServedEvent("ann", 103, 1.7e9 + 2)])
    streamed = service.recommend(ListRequest("ann", k=40))
    assert streamed.items == Service(bundle, store).recommend(ListRequest("ann", k=40)).items


def test_a_restart_and_a_later_bundle_keep_it_and_the_user_of_its_entries_has_no_history(bundle, store):
    service = Service(bundle, store)
    service.add_events([ServedEvent("ann", 101, 1.7e9)])
    assert service.add_items([PLAY]) == [2]
    assert service.add_items([NewItem("900", {"genres": ["even"], "title": "Another"})]) == [3]
    wanted = likes_odd(service)
    assert wanted.items[-1] == 900  # even items have a little in common with the query, by their third number
    learnt = bundle._replace(manifest={**bundle.manifest, "position": 3})  # nobody has clicked it
    for again in (Service(bundle, store), Service(learnt, store)):
        found = likes_odd(again)
        assert (found.items, found.scores) == (wanted.items, wanted.scores)
        assert again.live.filters.column("title")[again.live.item_row(900)] == "Another"
        assert again.history("added_item") == []
    service.swap(learnt)
    assert likes_odd(service).items == wanted.items


def test_a_known_item_gets_other_columns_and_keeps_what_was_learnt(bundle, store):
    service = Service(bundle, store)
    before = likes_odd(service)
    service.add_items([NewItem(105, {"genres": ["even"]})])
    found = likes_odd(service)
    assert found.items[14] == 105 and {*found.items} == {*before.items} and len(found.items) == 30
    assert found.scores[14] == pytest.approx(1, abs=1e-3)  # its id is odd, its genre even
    assert 105 in likes_odd(service, filters={"genres": ["even"]}).items
    newer = bundle._replace(manifest={**bundle.manifest, "position": 1})  # it may know better by then
    assert likes_odd(Service(newer, store)).items == before.items


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (lambda: NewItem("play"), r"items\[1\].item should be an integer as in the data, received 'play'"),
        (lambda: NewItem(1.5), "item should be a string or an integer"),
        (lambda: NewItem(900, {"a": float("nan")}), "columns should hold JSON values"),
        (lambda: NewItem(900, {"genre": []}), r"\[1\].columns: there is no 'genre', did you mean 'genres'"),
        (lambda: NewItem(900, {"item": 3}), r"items\[1\].columns: there is no 'item'"),
        (lambda: NewItem(900, {"price": "5 euros"}), r"'price' should be a number, received '5 euros'"),
        (lambda: NewItem(900, {"price": True}), "'price' should be a number, received True"),
        (lambda: NewItem(900, {"genres": [["odd"]]}), "'genres' should be a list, each part a string"),
        (lambda: NewItem(900, {"title": ["The Play"]}), "'title' should be a string"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_is_stored(item, message, bundle, store):
    service = Service(bundle, store)
    before = likes_odd(service)
    with pytest.raises(InputError, match=message):
        service.add_items([NewItem(901), item()])
    assert len(store) == 0 and likes_odd(service).items == before.items and service.add_items([]) == []


def test_what_cannot_be_stored_is_in_no_list(bundle, store):
    service = Service(bundle, store)
    store.close()
    with pytest.raises(StoreError):
        service.add_items([PLAY])
    assert 900 not in likes_odd(service).items


def test_threads_add_items_and_events_while_others_ask(bundle, store):
    service, events = Service(bundle, store), 40
    service.recommend(ListRequest("ann"))

    def click(place):
        service.add_events([ServedEvent("ann", 900 + place % 8, 1.7e9 + place)])
        return service.recommend(ListRequest("ann", k=40)).items

    with ThreadPoolExecutor(4) as threads:
        lists = threads.map(click, range(events))
        adding = threads.map(lambda n: service.add_items([NewItem(900 + n, {"genres": ["odd"]})]), range(8))
        assert all(len(found) >= 30 for found in lists) and len({*sum(adding, [])}) == 8
    new, found = {*range(900, 908)}, service.recommend(ListRequest("ann", k=40)).items
    assert not new & {*found} and len(found) == 30 and len(service.history("ann")) == events
    assert new <= {*likes_odd(service).items} and len(store) == events + 8


def test_models_without_side_features_refuse_new_items_and_pass_over_those_of_the_log(
    bundle, store, tmp_path, caplog
):
    Service(bundle, store).add_items([PLAY])
    plain = export(model("encoder gru"), tmp_path / "plain", events=EVENTS)
    service = Service(plain, store)
    assert "1 added items are not in lists of bundle: items: the model reads no side" in caplog.text
    with pytest.raises(InputError, match="the model reads no side features of items"):
        service.add_items([PLAY])
    nothing = export(TrainedModel(model("fields").module, TRAIN.preparation), tmp_path / "nothing")
    with pytest.raises(InputError, match="the bundle lacks the table of the items; export it with events="):
        Service(nothing, store).add_items([PLAY])
    with pytest.raises(InputError, match="the model reads no side features"):
        Service(bundle, store, ranker=plain).add_items([PLAY])
    assert len(store) == 1


@pytest.mark.parametrize("name", ["fields", "hard search", "interaction dot"])
def test_a_ranker_ranks_new_items_alone_or_behind_an_index(name, bundle, store, tmp_path):
    ranker = export(model(name), tmp_path / "ranker", events=EVENTS)
    service = Service(bundle, store, ranker=ranker, retrieve=40)
    alone = Service(ranker, store)
    twins = [NewItem(900, {"genres": ["odd"], "price": 3.0}), NewItem(901, {"genres": ["odd"], "price": 3.0})]
    for one in (service, alone):
        one.add_items(twins)
        found = one.recommend(ListRequest(3, k=40))
        places = [found.items.index(item) for item in (900, 901)]
        assert found.scores[places[0]] == pytest.approx(found.scores[places[1]], abs=1e-6)
        assert found.milliseconds["search"] > 0


@pytest.mark.parametrize("interests", [1, 3])
@pytest.mark.parametrize("kind", ["exact", "hnsw"])
def test_lists_beside_an_index_are_those_of_all_items(kind, interests):
    if kind == "hnsw":
        pytest.importorskip("faiss", reason="FaissIndex needs faiss")
    generator = torch.Generator().manual_seed(0)
    vectors, rows = torch.randn(200, 8, generator=generator), torch.arange(1, 201)
    queries = torch.randn(5, *([interests] if interests > 1 else []), 8, generator=generator)
    built = ExactIndex() if kind == "exact" else FaissIndex("hnsw", ef_search=200)
    old = vectors[:150].clone()
    old[:10] = 9.0  # they have changed since
    built.build(old, rows[:150])
    changed = np.r_[0:10, 150:200]
    index, whole = IndexWithAdded(built, 150), ExactIndex()
    index.build(vectors[changed], rows[changed])
    whole.build(vectors, rows)
    exclude = [[1, 2, 160], [], [5], [199, 200], list(range(1, 190))]
    for k in (1, 20, 200):
        scores, ids = index.search(queries, k, exclude)
        wanted, best = whole.search(queries, k, exclude)
        torch.testing.assert_close(scores, wanted)
        assert torch.equal(ids, best)


def test_learning_takes_added_items_as_rows_of_the_table_of_items(bundle, store):
    service = Service(bundle, store)
    service.add_events([ServedEvent(1, 900, 1.7e9)])
    service.add_items([PLAY, NewItem(901, {"genres": ["third"]}), NewItem(900, {"genres": ["odd", "new"]})])
    new = as_events([event for _, event in store.after(0, 9)], EVENTS)
    assert new.frame["item"].tolist() == [900] and new.items["item"].tolist() == [901, 900]
    both = join_events(EVENTS, new)
    assert len(both.items) == 32 and both.items.dtypes.equals(EVENTS.items.dtypes)
    grown = grow_preparation(TRAIN.preparation, both, np.arange(len(both)) >= len(EVENTS))
    row = grown.vocabularies["item"].rows([900])
    values, lengths = grown.sides["item"].ids("item_genres", row)
    assert values.tolist() == grown.vocabularies["item_genres"].rows(["odd", "new"]).tolist() and lengths == 2
    assert np.isin(row, grown.trained.catalogue).all()
    nothing = as_events([], EVENTS)
    assert len(nothing.items) == 0 and join_events(EVENTS, nothing).items.equals(EVENTS.items)
    entry = PLAY.entry("word")
    assert as_items([entry], EVENTS.items).empty  # not an id of the data
