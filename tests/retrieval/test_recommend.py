import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests import processes
from tests.worlds import small_world
from torchrec_ext.data import Events, leave_last_out, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel, predict, recommend
from torchrec_ext.training import Optimization, fit

EVENTS = small_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
USERS, ITEMS = list(range(1, 61)), list(range(101, 131))
COLUMNS = ["user", "item", "score", "rank", "source"]


def trained(model: TwoTower | Ranker, events: Events = EVENTS) -> TrainedModel:
    train = TRAIN if events is EVENTS else leave_last_out(events)[0]
    return fit(
        model,
        train,
        epochs=2,
        progress=False,
        optimization=Optimization(global_batch_size=32, learning_rate=0.01),
    )


@pytest.fixture(scope="module")
def gru() -> TrainedModel:
    """Reads the history alone."""
    return trained(TwoTower(TRAIN.schema, 8, GRU(8), max_length=20))


@pytest.fixture(scope="module")
def factors() -> TrainedModel:
    """Reads the user alone."""
    return trained(TwoTower(TRAIN.schema, 8))


@pytest.fixture(scope="module")
def ranker() -> TrainedModel:
    """Crosses user and item."""
    return trained(Ranker(TRAIN.schema, 8, ("user", "user_gender", "item", "item_genres")))


def seen_by(user: object, events: Events = EVENTS) -> set:
    return set(events.frame.loc[events.frame["user"] == user, "item"])


def with_events(events: Events, *rows: tuple) -> Events:
    """More events, of (user, item), at the end."""
    last = events.frame["timestamp"].max()
    more = pd.DataFrame(rows, columns=["user", "item"]).assign(
        timestamp=last + 1 + np.arange(len(rows)), rating=5, device="desk", hour=1.0
    )
    return read_events(
        pd.concat([events.frame, more]), users=events.users, items=events.items, context=["device", "hour"]
    )


def test_scores_are_the_scorers_over_the_whole_catalogue(gru):
    lists = recommend(gru, EVENTS, USERS, k=30)
    assert lists.columns.tolist() == COLUMNS and set(lists["source"]) == {"model"}
    log = TRAIN.preparation.log(EVENTS)
    batcher = Batcher(TRAIN.preparation, log, gru.inputs)
    with torch.no_grad():
        queries = gru.module.encode_queries(batcher.queries(np.arange(60), log.offsets[1:]))
        scores = queries @ gru.module.encode_items(batcher.items(np.arange(1, 31))).T
    wanted = []
    for place, user in enumerate(log.user_ids):
        order = sorted(range(30), key=lambda i, place=place: (-scores[place, i].item(), i))
        unseen = [i for i in order if TRAIN.preparation.vocabularies["item"].ids(i + 1) not in seen_by(user)]
        for rank, item in enumerate(unseen, 1):
            own = TRAIN.preparation.vocabularies["item"].ids(item + 1)
            wanted.append((user, own, scores[place, item].item(), rank, "model"))
    expected = pd.DataFrame(wanted, columns=COLUMNS)
    pd.testing.assert_frame_equal(lists, expected, check_dtype=False, atol=1e-5)


@pytest.mark.parametrize("name", ["gru", "factors", "ranker"])
def test_seen_items_never_come_back_and_lists_end_early(name, request):
    model = request.getfixturevalue(name)
    lists = recommend(model, EVENTS, USERS, k=30)
    for user, own in lists.groupby("user"):
        assert set(own["item"]) == set(ITEMS) - seen_by(user), "all that is left"
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        assert own["score"].is_monotonic_decreasing
    assert lists.groupby("user").size().nunique() > 3
    repeated = recommend(model, EVENTS, USERS, k=30, exclude_seen=False)
    assert (repeated.groupby("user").size() == 30).all()


def test_a_user_who_saw_everything_gets_no_row(gru):
    events = with_events(EVENTS, *((7, item) for item in ITEMS))
    lists = recommend(gru, events, [7, 8], k=3)
    assert lists["user"].tolist() == [8, 8, 8]
    assert recommend(gru, events, [7], k=3).empty
    assert recommend(gru, events, [7], k=3).columns.tolist() == COLUMNS


@pytest.mark.parametrize("name", ["gru", "factors", "ranker"])
def test_an_unknown_user_gets_the_popular_items(name, request):
    lists = recommend(request.getfixturevalue(name), EVENTS, ["somebody", 5], k=4)
    assert lists["user"].tolist() == ["somebody"] * 4 + [5] * 4
    assert lists["source"].tolist() == ["popular"] * 4 + ["model"] * 4
    counts = EVENTS.frame["item"].value_counts()
    first = {item: -place for place, item in enumerate(dict.fromkeys(EVENTS.frame["item"]))}
    popular = sorted(ITEMS, key=lambda item: (-counts[item], -first[item]))[:4]
    assert lists["item"].tolist()[:4] == popular
    assert lists["score"].tolist()[:4] == [counts[item] for item in popular]


def test_a_new_user_with_events_gets_a_personal_list_from_a_history(gru):
    events = with_events(EVENTS, (900, 110), (900, 111), (900, 112), (901, 120), (901, 121))
    lists = recommend(gru, events, [900, 901], k=5)
    assert set(lists["source"]) == {"model"}
    one, other = (own["item"].tolist() for _, own in lists.groupby("user"))
    assert one != other and not {110, 111, 112} & set(one)


@pytest.mark.parametrize("name", ["factors", "ranker"])
def test_a_new_user_of_a_model_without_a_history_gets_popular_items_that_were_not_seen(name, request):
    counts = EVENTS.frame["item"].value_counts()
    best = int(counts.index[0])
    events = with_events(EVENTS, (900, best))
    lists = recommend(request.getfixturevalue(name), events, [900], k=29)
    assert set(lists["source"]) == {"popular"}
    assert set(lists["item"]) == set(ITEMS) - {best}
    assert len(recommend(request.getfixturevalue(name), events, [900], k=30)) == 29
    again = recommend(request.getfixturevalue(name), events, [900], k=1, exclude_seen=False)
    assert again["item"].tolist() == [best]


def test_a_user_of_the_training_data_without_an_event_now(gru, factors):
    events = EVENTS.take((EVENTS.frame["user"] != 9).to_numpy())
    assert set(recommend(factors, events, ["9"], k=3)["source"]) == {"model"}
    lists = recommend(gru, events, ["9"], k=3)
    assert set(lists["source"]) == {"popular"} and lists["user"].tolist() == [9, 9, 9]


def test_candidates_restrict_what_comes_back(gru, ranker):
    for model in (gru, ranker):
        every = recommend(model, EVENTS, USERS, k=30)
        some = recommend(model, EVENTS, USERS, k=3, candidates=["120", 103, 111, "nothing"])
        assert set(some["item"]) <= {103, 111, 120}
        pd.testing.assert_series_equal(
            some.set_index(["user", "item"])["score"].sort_index(),
            every[every["item"].isin([103, 111, 120])].set_index(["user", "item"])["score"].sort_index(),
            atol=1e-5,
        )
    popular = recommend(gru, EVENTS, ["somebody"], k=2, candidates=[103, 111])
    assert set(popular["item"]) == {103, 111}


def test_a_ranker_takes_a_retrievers_lists(gru, ranker):
    retrieved = recommend(gru, EVENTS, [3, 4, 2, "somebody"], k=6)
    lists = recommend(ranker, EVENTS, [4, 2, 3, "somebody"], k=4, candidates=retrieved)
    own = {user: set(part["item"]) for user, part in retrieved.groupby("user")}
    for user, part in lists[lists["source"] == "model"].groupby("user"):
        assert set(part["item"]) < own[user] and len(part) == 4
        scores = predict(ranker, EVENTS, retrieved.loc[retrieved["user"] == user, ["user", "item"]])
        best = scores.sort_values("score", ascending=False).head(4)
        assert part["item"].tolist() == best["item"].tolist()
        np.testing.assert_allclose(part["score"], best["score"], atol=1e-6)
    assert lists["user"].drop_duplicates().tolist() == [4, 2, 3, "somebody"]
    few = recommend(ranker, EVENTS, [4, 2], k=8, candidates=retrieved)
    assert set(few.groupby("user").size()) == {6}, "a user has no more than the user's own candidates"


def test_a_rankers_whole_catalogue_is_predicts(ranker):
    lists = recommend(ranker, EVENTS, [5], k=30, exclude_seen=False)
    scores = predict(ranker, EVENTS, pd.DataFrame({"user": 5, "item": ITEMS}))
    best = scores.sort_values("score", ascending=False, kind="stable")
    np.testing.assert_allclose(lists["score"], best["score"], atol=1e-6)
    assert lists["item"].tolist()[:5] == best["item"].tolist()[:5]


def test_ids_come_back_as_they_are_in_the_data(gru):
    integers = recommend(gru, EVENTS, ["3", 3, "17", "03"], k=2)
    assert integers["user"].tolist() == [3, 3, 17, 17, "03", "03"]
    assert integers["item"].dtype == np.int64
    strings = small_world(strings=True)
    model = trained(TwoTower(leave_last_out(strings)[0].schema, 8, GRU(8)), strings)
    lists = recommend(model, strings, ["u5", "u2"], k=2)
    assert lists["user"].tolist() == ["u5", "u5", "u2", "u2"]
    assert all(item.startswith("i1") for item in lists["item"])


def test_a_user_named_twice_gets_one_list(gru):
    assert recommend(gru, EVENTS, [4, "4", 5, 4], k=2)["user"].tolist() == [4, 4, 5, 5]
    for users in (np.array([4, 4]), pd.Series([4, 4]), (4, 4)):
        assert recommend(gru, EVENTS, users, k=2)["user"].tolist() == [4, 4]


def test_chunks_change_nothing(gru, ranker, monkeypatch):
    for model in (gru, ranker):
        whole = recommend(model, EVENTS, [*USERS, "somebody", "nobody"], k=7)
        parts = recommend(model, EVENTS, [*USERS, "somebody", "nobody"], k=7, chunk=7)
        pd.testing.assert_frame_equal(whole, parts, atol=1e-5)
    monkeypatch.setattr("torchrec_ext.retrieval.rank_candidates._PAIRS", 65)  # two users at a time
    pd.testing.assert_frame_equal(
        whole, recommend(ranker, EVENTS, [*USERS, "somebody", "nobody"], k=7), atol=1e-5
    )


def test_the_model_keeps_its_mode(gru):
    gru.module.train()
    one, other = (recommend(gru, EVENTS, [1], k=3) for _ in range(2))
    pd.testing.assert_frame_equal(one, other)
    assert gru.module.training and gru.module.query_tower.training
    gru.module.eval()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 0}, "k must be from 1 to the number of items; received 0, but the catalogue has 30 items"),
        ({"k": 31}, "received 31, but the catalogue has 30 items"),
        ({"users": []}, "users is empty; give at least one id"),
        ({"users": 7}, "users should be a list of ids, received 7; put it in a list"),
        ({"users": None}, "give either users or sessions; received neither"),
        ({"sessions": [[101]]}, "give either users or sessions; received both"),
    ],
)  # fmt: skip
def test_what_cannot_be_recommended_is_explained(gru, settings, message):
    with pytest.raises(InputError, match=message):
        recommend(gru, EVENTS, **{"users": [1], "k": 2, **settings})


def test_candidates_without_a_column_are_explained(ranker):
    with pytest.raises(InputError, match="candidates lack the column 'user'; they have item"):
        recommend(ranker, EVENTS, [1], k=1, candidates=pd.DataFrame({"item": [101]}))


def test_a_model_that_is_not_ready_is_explained():
    model = TwoTower(TRAIN.schema, 8)
    with pytest.raises(
        InputError, match="model should be a TrainedModel, received a TwoTower; .* wrap a mod"
    ):
        recommend(model, EVENTS, [1], k=2)
    with pytest.raises(InputError, match="tables of the TwoTower have no weights yet; train it"):
        recommend(TrainedModel(model, TRAIN.preparation), EVENTS, [1], k=2)
    with pytest.raises(InputError, match="model must be a contracts.Retriever .* received a Linear"):
        TrainedModel(nn.Linear(2, 2), TRAIN.preparation)


def test_a_part_of_a_split_is_not_events(gru):
    for call in (lambda: recommend(gru, TRAIN, [1]), lambda: predict(gru, TRAIN, pd.DataFrame())):
        with pytest.raises(InputError, match="data should be Events, received Dataset; give what data.read"):
            call()


def lists_of_every_kind() -> list[pd.DataFrame]:
    """Lists and scores, of fewer users or candidates than ranks too."""
    torch.manual_seed(0)
    models = [TwoTower(TRAIN.schema, 8, GRU(8, dropout=0.0)), Ranker(TRAIN.schema, 8)]
    frames = []
    for model in models:
        trained = fit(
            model,
            TRAIN,
            epochs=1,
            progress=False,
            optimization=Optimization(global_batch_size=600),
            loss=SoftmaxCrossEntropy("catalogue") if isinstance(model, TwoTower) else None,
        )
        for settings in (
            {"users": [*USERS, "somebody"], "k": 10, "chunk": 13},
            {"users": [2], "k": 1, "candidates": [107]},
            {"users": [5, 6, 7], "k": 30},
        ):
            frames.append(recommend(trained, EVENTS, **settings))
        pairs = pd.DataFrame({"user": [1, 1, "x"], "item": [101, 5, 102], "device": "desk", "hour": 2.0})
        frames.append(predict(trained, EVENTS, pairs))
    return frames


def test_two_processes_recommend_what_one_does():
    first, second = processes.run(lists_of_every_kind)
    for one, other, alone in zip(first, second, lists_of_every_kind(), strict=True):
        pd.testing.assert_frame_equal(one, other)
        pd.testing.assert_frame_equal(one, alone, atol=1e-3, rtol=1e-3)
