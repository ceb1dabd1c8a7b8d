"""Searches weigh 0 or lack an item: they are read as history, and neither learnt nor predicted anywhere."""

import numpy as np
import pandas as pd
import pytest
import torch

from torchrec_ext.batch import Inputs
from torchrec_ext.data import SPLITS, Events, as_marked, by_time, leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import predict, recommend
from torchrec_ext.training import fit

START = 1_600_000_000


def world() -> Events:
    """After each view a user searches with an item or without one; the first user only views, every item."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(12):
        for step in range(int(rng.integers(8, 14))):
            time, item = START + 1000 * step + user, int(rng.integers(1, 9)) if user else 1 + step % 8
            part = ["train", "valid", "test"][(step >= 5) + (step >= 7)]
            rows.append((user, item, time, "view", float(rng.integers(1, 6)), part))
            if user:
                sought = None if rng.random() < 0.5 else int(rng.integers(1, 9))
                rows.append((user, sought, time + 500, "search", 0.0, part))
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp", "type", "rating", "split"])
    return read_events(frame.astype({"item": "Int64"}), columns={"split": "split"}, context=["type"])


EVENTS = world()
VIEWED = (EVENTS.frame["type"] == "view").to_numpy()
SETTINGS = {"by_time": {"valid_from": START + 5000, "test_from": START + 7000}}


def viewed(log) -> np.ndarray:
    return VIEWED[log.source_rows]


@pytest.mark.parametrize("name", SPLITS)
def test_no_search_is_learnt_or_a_target_of_any_split(name):
    parts = SPLITS[name](EVENTS, **SETTINGS.get(name, {}))
    train, valid, test = parts
    log, items = train.events, len(train.preparation.vocabularies["item"]) - 1
    assert viewed(valid.events).all() and viewed(test.events).all() and not viewed(log).all()
    assert train.report.parts[0].events == viewed(log).sum()
    inside = np.concatenate([p for part in parts for p in (part.rows, part.history_only)])
    assert len(np.unique(inside)) == len(inside) == len(EVENTS)
    if name == "leave_last_out":
        found = [*valid.events.source_rows, *test.events.source_rows]
        assert sorted(found) == sorted(EVENTS.frame[VIEWED].groupby("user").tail(2).index)

    every = Candidates.of(train, "catalogue")
    assert every.counts_I.tolist() == np.bincount(log.items[viewed(log)], minlength=items + 1)[1:].tolist()
    inputs = Inputs(max_length=50, candidates=True, masked=0.5)
    assert viewed(log)[LastEvents(train, inputs, every).events].all()
    labelled = LabelledEvents(train, train, inputs)
    assert labelled.events.tolist() == np.flatnonzero(viewed(log)).tolist() and labelled.unrated == 0

    hidden = HiddenEvents(train, inputs, every)
    chosen = np.arange(len(hidden.sizes()))
    positions = np.concatenate([np.arange(*ends) for ends in zip(hidden.starts, hidden.ends, strict=True)])
    labels = hidden.batch(chosen, 1.0, np.random.default_rng(0), 0).labels.numpy()
    assert viewed(log)[positions[labels >= 0]].all()
    assert all(part.any() for part in np.split(labels >= 0, np.cumsum(hidden.sizes())[:-1]))


def test_a_description_counts_them():
    train, _, test = leave_last_out(EVENTS)
    searches = (~viewed(train.events)).sum()
    assert (EVENTS.describe().history_only, train.describe().history_only) == ((~VIEWED).sum(), searches)
    counted = f"{searches} ({searches / len(train):.1%}) of the events are only read as history"
    assert counted in str(train.describe()) and "only read as history" not in str(test.describe())


def test_a_search_after_the_last_view_is_not_read_before_it():
    """One between the validation and the test view is; without the later ones the figures are the same."""
    types = ["view", "view", "search", "view", "search", "view", "search"]
    frame = pd.DataFrame({"user": 1, "item": range(1, 8), "type": types})
    train, valid, test = leave_last_out(read_events(frame))
    assert [part.events.source_rows.tolist() for part in (train, valid, test)] == [[0, 1, 2], [3], [5]]
    for known, targets, expected in ((train + valid, test, [0, 1, 2, 3, 4]), (train, valid, [0, 1, 2])):
        log, _ = known.known_before(targets.before_first_target())
        assert log.source_rows.tolist() == expected

    late = VIEWED | (EVENTS.frame["timestamp"] < START + 7000).to_numpy()
    found = []
    for events in (EVENTS, EVENTS.take(late)):  # test views of by_time are predicted from before START + 7000
        train, valid, test = by_time(events, **SETTINGS["by_time"])
        torch.manual_seed(0)
        trained = fit(TwoTower(train.schema, 8, "gru", max_length=9), train, epochs=1, progress=False)
        found.append(dict(evaluate(trained, train + valid, test, k=(3,))))
    assert found[0] == pytest.approx(found[1], abs=1e-9)


def test_searches_are_neither_popular_nor_seen_nor_in_the_catalogue():
    rows = [
        (1, 7, "view"), *[(1, 8, "search")] * 3, (2, 8, "view"), (2, 9, "view"), (2, 9, "view"),
        (2, 7, "search"), (2, 6, "search"), (1, 9, "view"), (1, 7, "view"),
    ]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["user", "item", "type"])
    frame["split"] = ["train"] * 9 + ["valid", "test"]
    events = read_events(frame, columns={"split": "split"})
    train, valid, test = as_marked(events)
    model = fit(TwoTower(train.schema, 4, "mean_pool"), train, epochs=1, progress=False)
    known = events.take(np.arange(len(frame)) < 9)
    popular = recommend(model, known, ["new"], k=3)
    assert popular["item"].tolist() == [9, 7, 8] and popular["score"].tolist() == [2, 1, 1]
    lists = recommend(model, known, [1, 2], k=3).groupby("user")["item"].agg(set)
    assert lists.to_dict() == {1: {8, 9}, 2: {7}}  # what was only searched for was not seen
    # the test view of 7 was seen; that of 9 in the validation part stands at rank 1 of the popular items
    assert popularity(model, train, valid, k=(1,))["hr@1"] == 1
    assert popularity(model, train + valid, test, k=(3,))["hr@3"] == 0
    # item 6 was only searched for
    assert sorted(model.item_vectors()["item"]) == [7, 8, 9]
    assert set(recommend(model, known, [1, 2], k=3, exclude_seen=False)["item"]) == {7, 8, 9}
    assert predict(model, known, pd.DataFrame({"user": 2, "item": [8, 6]}))["known"].tolist() == [True, False]
