"""Searches weigh 0 or lack an item: they are read as history, and neither learnt nor predicted anywhere."""

import numpy as np
import pandas as pd
import pytest
import torch

from tests import processes
from torchrec_ext.batch import Inputs
from torchrec_ext.data import SPLITS, Events, as_marked, by_time, leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.encoders import GRU
from torchrec_ext.evaluation import baseline, evaluate
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import predict, recommend
from torchrec_ext.training import Optimization, fit

START = 1_600_000_000


def world(seed: int = 0, users: int = 12, items: int = 9) -> Events:
    """After each view a user searches with an item or without one; the first user only views, every item."""
    rng = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        for step in range(int(rng.integers(8, 14))):
            time, item = (
                START + 1000 * step + user,
                int(rng.integers(1, items)) if user else 1 + step % (items - 1),
            )
            rows.append((user, item, time, "view", float(rng.integers(1, 6))))
            if not user:
                continue
            rows.append((user, None if rng.random() < 0.5 else int(rng.integers(1, items)), time + 500,
                         "search", 0.0))  # fmt: skip
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp", "type", "rating"])
    frame["item"] = frame["item"].astype("Int64")
    frame["split"] = np.where(frame["timestamp"] < START + 5000, "train", "valid")
    frame.loc[frame["timestamp"] >= START + 7000, "split"] = "test"
    return read_events(frame, columns={"split": "split"}, context=["type"])


EVENTS = world()
VIEWED = (EVENTS.frame["type"] == "view").to_numpy()
SETTINGS = {"by_time": {"valid_from": START + 5000, "test_from": START + 7000}}


def viewed(log) -> np.ndarray:
    return VIEWED[log.source_rows]


@pytest.mark.parametrize("name", SPLITS)
def test_no_search_is_a_target_of_any_split(name):
    parts = SPLITS[name](EVENTS, **SETTINGS.get(name, {}))
    train, valid, test = parts
    for part in (valid, test):
        assert viewed(part.events).all() and len(part)
    assert not viewed(train.log.select(train.rows)).all()
    by_part = {part.name: part for part in train.report.parts}
    assert by_part["train"].events == viewed(train.events).sum()
    inside = np.concatenate([p for part in parts for p in (part.rows, part.history_only)])
    assert len(np.unique(inside)) == len(inside) == len(EVENTS)
    if name == "leave_last_out":
        views = EVENTS.frame[VIEWED]
        last = views.groupby("user").tail(1)
        assert sorted(test.events.source_rows) == sorted(last.index)
        assert sorted(valid.events.source_rows) == sorted(
            views.drop(last.index).groupby("user").tail(1).index
        )


@pytest.mark.parametrize("name", SPLITS)
def test_no_search_is_learnt(name):
    train, *_ = SPLITS[name](EVENTS, **SETTINGS.get(name, {}))
    log, items = train.events, len(train.preparation.vocabularies["item"]) - 1
    every = Candidates.of(train, "catalogue")
    assert every.counts_I.sum() == viewed(log).sum()
    assert every.counts_I.tolist() == np.bincount(log.items[viewed(log)], minlength=items + 1)[1:].tolist()
    rng, inputs = np.random.default_rng(0), Inputs(max_length=50, candidates=True, masked=0.5)
    of_users = np.split(np.arange(len(log)), log.offsets[1:-1])
    after_another = np.concatenate([own[1:] for own in of_users])

    following = NextEvents(train, inputs, every)
    chosen = np.arange(len(following.sizes()))
    labels = following.batch(chosen, 1.0, rng).labels.numpy()
    assert (labels >= 0).sum() == viewed(log)[after_another].sum() == following.weight(chosen)

    last = LastEvents(train, inputs, every)
    assert viewed(log)[last.events].all()

    hidden = HiddenEvents(train, inputs, every)
    chosen = np.arange(len(hidden.sizes()))
    for salt in range(3):
        labels = hidden.batch(chosen, 1.0, rng, salt).labels.numpy()
        positions = np.concatenate(
            [np.arange(*ends) for ends in zip(hidden.starts, hidden.ends, strict=True)]
        )
        assert viewed(log)[positions[labels >= 0]].all()
        ends = np.cumsum(hidden.sizes())
        assert all(part.any() for part in np.split(labels >= 0, ends[:-1]))

    labelled = LabelledEvents(train, train, inputs)
    assert labelled.events.tolist() == np.flatnonzero(viewed(log)).tolist() and labelled.unrated == 0


def test_a_description_counts_them():
    train, _, test = leave_last_out(EVENTS)
    searches = (~viewed(train.events)).sum()
    assert (EVENTS.describe().history_only, train.describe().history_only) == ((~VIEWED).sum(), searches)
    counted = f"{searches} ({searches / len(train):.1%}) of the events are only read as history"
    assert counted in str(train.describe()) and "only read as history" not in str(test.describe())


def test_a_ranker_learns_what_it_would_without_the_searches():
    found = []
    for events in (EVENTS, EVENTS.take(VIEWED)):
        train, losses = leave_last_out(events)[0], []
        torch.manual_seed(0)
        model = Ranker(train.schema, 8, ("user", "item"))
        fit(model, train, epochs=2, progress=False, on_step=lambda step, loss, kept=losses: kept.append(loss))
        found.append(losses)
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_search_after_the_last_view_is_not_read_before_it():
    """One between the validation and the test view is; without the later ones the figures are the same."""
    rows = [
        (1, START, "view"), (2, START + 1, "view"), (3, START + 2, "search"), (4, START + 3, "view"),
        (5, START + 4, "search"), (6, START + 5, "view"), (7, START + 6, "search"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["item", "timestamp", "type"]).assign(user=1)
    train, valid, test = leave_last_out(read_events(frame))
    assert [part.events.source_rows.tolist() for part in (train, valid, test)] == [[0, 1, 2], [3], [5]]
    log, _ = (train + valid).known_before(test.before_first_target())
    assert log.source_rows.tolist() == [0, 1, 2, 3, 4]
    assert train.known_before(valid.before_first_target())[0].source_rows.tolist() == [0, 1, 2]

    late = VIEWED | (EVENTS.frame["timestamp"] < START + 7000).to_numpy()
    found = []
    for events in (EVENTS, EVENTS.take(late)):  # test views of by_time are predicted from before START + 7000
        train, valid, test = by_time(events, **SETTINGS["by_time"])
        torch.manual_seed(0)
        model = TwoTower(train.schema, 8, "gru", max_length=9)
        trained = fit(model, train, epochs=1, progress=False)
        found.append(dict(evaluate(trained, train + valid, test, k=(3,))))
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_searches_are_neither_popular_nor_seen():
    # user 1 viewed 7 once and searched for 8 thrice; user 2 viewed 8 and 9 and searched for 7
    rows = [(1, 7, "view"), *[(1, 8, "search")] * 3, (2, 8, "view"), (2, 9, "view"), (2, 9, "view"),
            (2, 7, "search"), (1, 9, "view"), (1, 7, "view")]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["user", "item", "type"])
    frame["timestamp"] = START + np.arange(len(frame))
    frame["split"] = ["train"] * 8 + ["valid", "test"]
    events = read_events(frame, columns={"split": "split"})
    train, valid, test = as_marked(events)
    model = fit(TwoTower(train.schema, 4, "mean_pool"), train, epochs=1, progress=False)
    known = events.take(np.arange(len(frame)) < 8)
    popular = recommend(model, known, ["new"], k=3)
    assert popular["item"].tolist() == [9, 7, 8] and popular["score"].tolist() == [2, 1, 1]
    lists = recommend(model, known, [1, 2], k=3)
    assert set(lists.loc[lists["user"] == 1, "item"]) == {8, 9}  # only searched for: not seen
    assert set(lists.loc[lists["user"] == 2, "item"]) == {7}
    # the test view of 7 was seen; that of 9 in the validation part stands at rank 1 of the popular items
    assert baseline(model, train, valid, k=(1,))["hr@1"] == 1
    assert baseline(model, train + valid, test, k=(3,))["hr@3"] == 0


def figures() -> list:
    found: list = []
    train, valid, test = leave_last_out(EVENTS)
    for kind in ("sampled", "in_batch", "catalogue"):
        torch.manual_seed(0)
        model = TwoTower(train.schema, 8, GRU(8, dropout=0.0), max_length=9)
        losses: list[float] = []
        trained = fit(
            model,
            train,
            valid,
            epochs=1,
            progress=False,
            on_step=lambda step, loss, kept=losses: kept.append(loss),
            sharding={"item": "row_wise"},
            optimization=Optimization(global_batch_size=700),
            loss=SoftmaxCrossEntropy(candidates=kind),
        )
        if kind == "catalogue":
            found += [*losses, *dict(evaluate(trained, train + valid, test, k=(3,))).values()]
        found.append(evaluate(trained, train + valid, test, k=(3,))["users"])
    return found


@pytest.mark.slow
def test_two_processes_learn_and_find_what_one_does():
    first, second = processes.run(figures)
    assert first == second and first == pytest.approx(figures(), abs=1e-4)


def test_an_item_that_was_only_searched_for_is_not_in_the_catalogue():
    frame = pd.DataFrame({"user": [1, 1, 1, 1, 2, 2, 2, 2], "item": [7, 8, 7, 8, 8, 7, 8, 7]})
    searches = pd.DataFrame({"user": [1, 2], "item": [9, 9]})
    both = pd.concat([frame.assign(type="view"), searches.assign(type="search")], ignore_index=True)
    both["timestamp"] = START + np.argsort([1, 3, 4, 5, 1, 3, 4, 5, 2, 2], kind="stable").argsort()
    events = read_events(both)
    train, _, _ = leave_last_out(events)
    trained = fit(TwoTower(train.schema, 4), train, epochs=1, progress=False)
    assert sorted(trained.item_vectors()["item"]) == [7, 8]
    assert set(recommend(trained, events, [1, 2], k=2, exclude_seen=False)["item"]) == {7, 8}
    scored = predict(trained, events, pd.DataFrame({"user": [1, 1], "item": [8, 9]}))
    assert scored["known"].tolist() == [True, False]
