"""Ids that occur only after training: the unknown row, the popular list, no place in the catalogue."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests import processes
from torchrec_ext.batch import Inputs
from torchrec_ext.data import (
    as_marked,
    by_time,
    by_user,
    leave_last_out,
    open_prepared,
    prepare,
    read_events,
    rolling_windows,
)  # fmt: skip
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.encoders import GRU
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import predict, recommend
from torchrec_ext.training import Optimization, fit

START = 1_600_000_000
NEW = START + 20_000
OLD_USERS, OLD_ITEMS, NEW_USERS, NEW_ITEMS = range(20), range(10), range(100, 120), range(50, 55)


def frame() -> pd.DataFrame:
    """Old users have 8 events of old items, item 0 and 1 most often; then come new users and new items."""
    rng = np.random.default_rng(0)
    shares = np.arange(10, 0, -1) / 55
    rows = [
        (user, int(rng.choice(10, p=shares)), START + 1000 * n + user) for n in range(8) for user in OLD_USERS
    ]
    rows.append((0, 1, NEW - 5000))  # the validation part
    rows += [(user, user % 2, NEW + user) for user in NEW_USERS]
    rows += [(user, item, NEW + 1000) for user, item in enumerate(NEW_ITEMS)]
    rows.insert(3, (1, 60, NEW + 2000))  # a new item whose row is among those of the old ones
    return pd.DataFrame(rows, columns=["user", "item", "timestamp"])


SIDES = {
    "users": pd.DataFrame({"user": [*OLD_USERS, *NEW_USERS], "sex": ["f", "m"] * 20}),
    "items": pd.DataFrame({"item": [*OLD_ITEMS, *NEW_ITEMS, 60], "kind": ["x", "y"] * 8}),
}
EVENTS = read_events(frame(), **SIDES)
TRAIN, VALID, TEST = by_time(EVENTS, valid_from=NEW - 6000, test_from=NEW)
KNOWN = EVENTS.take(EVENTS.numbers("timestamp") < NEW - 6000)


def trained(model, **more):
    return fit(model, TRAIN, epochs=1, progress=False, **more)


def ids(preparation: Preparation, entity: str) -> set:
    rows = np.flatnonzero(preparation.trained.known(entity, np.arange(len(preparation.vocabularies[entity]))))
    return set(preparation.vocabularies[entity].ids(rows).tolist())


def test_new_users_get_the_popular_items_and_new_items_are_not_found():
    model = trained(TwoTower(TRAIN.schema, 8))
    report, popular = (evaluate(model, TRAIN, TEST, k=(2,)), popularity(model, TRAIN, TEST, k=(2,)))
    # of 26 users 20 are new and want 0 or 1, the two most popular items; 6 targets are new items
    counts = KNOWN.frame["item"].value_counts()
    assert set(counts.index[:2]) == {0, 1}
    assert report["hr@2"] == popular["hr@2"] == pytest.approx(20 / 25)
    assert {"targets": 26, "seen": 0, "outside": 6}.items() <= report.counts.items() and report["items"] == 10
    nothing = "20 users of whom the model knows nothing get the popular items"
    assert f"; {nothing}; of 26 targets 6 (23.1%) not in the catalogue" in report.protocol
    lists = recommend(model, KNOWN, [100, 0], k=10, exclude_seen=False)
    assert set(lists["item"]) == set(OLD_ITEMS)
    assert lists.groupby("user", sort=False)["source"].unique().map(list).tolist() == [["popular"], ["model"]]
    assert list(lists["score"])[:2] == counts.tolist()[:2]
    assert recommend(model, KNOWN, [0], k=1, candidates=[52, 3], exclude_seen=False)["item"].tolist() == [3]


def test_predict_knows_what_training_has_learnt_from():
    model = trained(TwoTower(TRAIN.schema, 8))
    pairs = pd.DataFrame({"user": [100, 0, 0, 999], "item": [0, 0, 50, 0]})
    scores = predict(model, EVENTS, pairs)
    assert scores["known"].tolist() == [False, True, False, False]
    assert scores["score"][0] == scores["score"][3]  # both are the unknown user


def test_side_features_of_a_new_id_are_still_read():
    model = trained(TwoTower(TRAIN.schema, 8, None, ("user", "user_sex"), ("item_kind",)))
    lists = recommend(model, KNOWN, [100, 101, 102], k=3)
    assert set(lists["source"]) == {"model"}
    of = [lists.loc[lists["user"] == user, "score"].tolist() for user in (100, 101, 102)]
    assert of[0] == of[2] != of[1]  # f, m, f
    batcher = Batcher(TRAIN.preparation, TRAIN.events, Inputs(fields=("user", "item", "item_kind")))
    rows = TRAIN.preparation.vocabularies["item"].rows([60, 1, 0])
    found = batcher.pairs(np.array([0, 0, 0]), np.zeros(3, np.int64), rows).fields.to_dict()
    assert found["item"].values().tolist()[0] == 0 < rows[0]
    assert found["item_kind"].values().tolist()[0] > 0


def test_a_history_of_new_items_alone_is_nothing_to_go_by():
    model = trained(TwoTower(TRAIN.schema, 8, "mean_pool"))
    known = read_events(pd.DataFrame({"user": [7001, 7002], "item": [50, 3], "timestamp": START}))
    lists = recommend(model, known, [7001, 7002], k=2)
    assert lists["source"].tolist() == ["popular"] * 2 + ["model"] * 2


def test_new_items_do_not_compete_in_training():
    old = TRAIN.preparation.vocabularies["item"].rows(list(OLD_ITEMS))
    for kind in ("catalogue", "sampled"):
        rows, _ = Candidates.of(TRAIN, kind, 500).draw(np.array([1]), np.random.default_rng(0))
        assert rows.tolist() == sorted(old)
    assert len(TRAIN.preparation.vocabularies["item"]) - 1 == 16


@pytest.mark.parametrize("split", ["leave_last_out", "by_time", "by_user", "as_marked", "prepared"])
def test_every_split_knows_what_its_training_part_holds(split, tmp_path):
    table = frame().assign(split=lambda f: np.where(f["timestamp"] < NEW - 6000, "train", "test"))
    table.loc[table["timestamp"] == NEW - 5000, "split"] = "valid"
    events = read_events(table, columns={"split": "split"}, **SIDES)
    train = {
        "leave_last_out": leave_last_out,
        "by_time": lambda e: by_time(e, valid_from=NEW - 6000, test_from=NEW),
        "by_user": by_user,
        "as_marked": as_marked,
        "prepared": lambda e: prepare(
            table, tmp_path / "kept", split="by_time", split_by={"valid_from": NEW - 6000, "test_from": NEW}
        ),
    }[split](events)[0]
    mine = table.iloc[train.events.source_rows]
    for entity in ("user", "item"):
        assert ids(train.preparation, entity) == set(mine[entity])
        assert set(train.preparation.vocabularies[entity].index) == set(table[entity])
    train.preparation.save(tmp_path)
    assert ids(Preparation.load(tmp_path), "item") == set(mine["item"])
    if split == "prepared":
        assert ids(open_prepared(tmp_path / "kept")[0].preparation, "user") == set(mine["user"])


def test_windows_share_rows_and_know_more_and_more():
    windows = list(rolling_windows(EVENTS, test_seconds=5000, windows=2))
    known = [ids(train.preparation, "user") for train, _, _ in windows]
    assert known[0] <= known[1]
    first, last = windows[0][0].preparation, windows[-1][0].preparation
    assert first.vocabularies["user"].index.equals(last.vocabularies["user"].index)
    # a model of the first window is asked about the last one, and knows no more than it did
    torch.manual_seed(0)
    model = fit(TwoTower(windows[0][0].schema, 4), windows[0][0], epochs=1, progress=False)
    train, valid, test = windows[-1]
    report = evaluate(model, train + valid, test, k=(2,))
    assert report["items"] == len(ids(first, "item"))


def test_categories_are_those_of_the_training_part():
    events = read_events(
        frame().assign(day=lambda f: np.where(f["timestamp"] < NEW, "old", "new")), context=["day"]
    )
    train, *_ = by_time(events, valid_from=NEW - 6000, test_from=NEW)
    assert train.preparation.vocabularies["context_day"].index.tolist() == ["old"]


def test_a_user_or_an_item_without_an_example_is_not_learnt_from(tmp_path):
    rows = [
        (1, 7, 5), (1, 8, 1), (1, 7, 5), (2, 9, None), (2, 9, None), (3, 8, 4), (3, 7, 1), (4, 7, 5),
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["user", "item", "rating"]).assign(split="train")
    ends = pd.DataFrame({"user": 1, "item": [7, 8], "rating": [5, 1], "split": ["valid", "test"]})
    whole = pd.concat([table, ends])
    for name, part in (
        ("rated", whole.dropna()),
        ("others", whole[whole["rating"].isna()].drop(columns="rating")),
    ):
        part.to_csv(tmp_path / f"{name}.csv", index=False)
    (tmp_path / "two.toml").write_text('[[events]]\nfile = "rated.csv"\n[[events]]\nfile = "others.csv"\n')
    train, valid, test = as_marked(read_events(tmp_path / "two.toml", columns={"split": "split"}))
    ranker = fit(Ranker(train.schema, 4), train, epochs=1, progress=False)
    assert ids(train.preparation, "user") == {1, 2, 3, 4} and ids(train.preparation, "item") == {7, 8, 9}
    assert ids(ranker.preparation, "user") == {1, 3, 4} and ids(ranker.preparation, "item") == {7, 8}
    lists = recommend(ranker, train.table, [2, 3], k=2, exclude_seen=False)
    assert lists["source"].tolist() == ["popular"] * 2 + ["model"] * 2 and set(lists["item"]) == {7, 8}
    # the next event is learnt: user 4 has a single one, whose row nothing trains; every item competes
    retriever = fit(TwoTower(train.schema, 4, "gru", ("user",)), train, epochs=1, progress=False)
    assert ids(retriever.preparation, "user") == {1, 2, 3} and ids(retriever.preparation, "item") == {7, 8, 9}


def figures() -> list[dict[str, float]]:
    found = []
    for reads_history in (False, True):
        torch.manual_seed(0)
        encoder, fields = (GRU(8, dropout=0.0), ("user_sex",)) if reads_history else (None, ("user",))
        model = trained(
            TwoTower(TRAIN.schema, 8, encoder, fields, ("item_kind",)),
            optimization=Optimization(700),
            sharding={"item": "row_wise"},
        )
        report = evaluate(model, TRAIN + VALID, TEST, k=(3, 10), chunk=7)
        found.append({**report.counts, "items": report["items"], "hr@10": report["hr@10"]})
        found.append(dict(popularity(model, TRAIN + VALID, TEST, k=(3,))))
        lists = recommend(model, KNOWN, [100, 0, 1], k=5)
        found.append(dict(zip(map(str, lists.index), lists["score"], strict=True)))
    return found


@pytest.mark.slow
def test_two_processes_find_what_one_does():
    first, second = processes.run(figures)
    assert first == second
    for one, other in zip(first, figures(), strict=True):
        assert one == pytest.approx(other, abs=2e-3)
