"""Events predicted one by one: as recommend() and predict() would have, from what happened before each."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

import torchrec_ext as tx
from tests.worlds import small_world
from torchrec_ext.command_line.newer_events import newer_events
from torchrec_ext.data import join_events
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import prequential, summarise
from torchrec_ext.models import Ranker, TwoTower

SPLIT = 500


@pytest.fixture(scope="module")
def events():
    """Known and later events; among these those of a new user and of a new item."""
    world = small_world()
    early = np.argsort(world.ticks, kind="stable").argsort() < SPLIT
    later = world.take(~early)
    new = pd.DataFrame(
        {"user": [1, 99, 99], "item": [999, 105, 106], "timestamp": [1.7e9] * 3, "rating": 4.0}
    )
    new = tx.data.read_events(new.assign(device="desk", hour=1.0), context=["device", "hour"])
    return world.take(early), join_events(later, dataclasses.replace(new, users=None, items=None))


def parts(trained, known, later):
    both = join_events(known, later)
    added = np.arange(len(both)) >= len(known)
    found = newer_events(both, added, lambda events: events, trained.preparation, "by time")
    return found.known, found.targets, both


def trained_model(kind, known):
    torch.manual_seed(0)
    train, _, _ = tx.data.leave_last_out(known)
    if kind == "ranker":
        model = Ranker(train.schema, 8)
    elif kind == "context":
        model = TwoTower(train.schema, 8, "gru", ("user", "context_device"))
    else:
        model = TwoTower(train.schema, 8, kind)
    return tx.training.fit(model, train, epochs=1, progress=False)


@pytest.mark.parametrize("exclude_seen", [True, False])
@pytest.mark.parametrize("kind", ["gru", "bert4rec"])
def test_ranks_are_those_of_lists_made_before_each_event(events, kind, exclude_seen):
    known, later = events
    trained = trained_model(kind, known)
    before, targets, both = parts(trained, known, later)
    found = prequential(trained, before, targets, exclude_seen=exclude_seen)
    assert list(found["row"]) == list(range(len(known), len(both)))
    assert np.array_equal(found["time"], both.frame["timestamp"].iloc[len(known) :])
    frame, items = both.frame, len(trained.preparation.trained.catalogue)
    order = np.lexsort((np.arange(len(frame)), frame["timestamp"]))
    for place in [*range(0, len(found), 17), len(found) - 3, len(found) - 2, len(found) - 1]:
        row = found["row"][place]
        user, item = frame["user"][row], frame["item"][row]
        until = int(np.flatnonzero(order == row)[0])
        history = np.sort(order[:until][frame["user"].to_numpy()[order[:until]] == user])
        mask = np.zeros(len(both), bool)
        mask[history] = True
        mask[: len(known)] = True  # popularity is that of the known events
        lists = tx.retrieval.recommend(trained, both.take(mask), [user], k=items, exclude_seen=exclude_seen)
        there = lists.loc[lists["item"] == item, "rank"]
        assert found["rank"][place] == (there.iloc[0] if len(there) else 0), (place, user, item)


def test_a_retriever_that_reads_the_context(events):
    known, later = events
    trained = trained_model("context", known)
    before, targets, _ = parts(trained, known, later)
    found = prequential(trained, before, targets, chunk=7)
    pd.testing.assert_frame_equal(found, prequential(trained, before, targets))
    assert (found["rank"] > 0).mean() > 0.4 and summarise(found)["hr@10"] > 0


def test_scores_of_a_ranker_are_those_of_predict(events):
    known, later = events
    trained = trained_model("ranker", known)
    before, targets, both = parts(trained, known, later)
    found = prequential(trained, before, targets)
    pairs = both.frame.iloc[len(known) :][["user", "item"]]
    context = both.frame.iloc[len(known) :][["device", "hour"]].reset_index(drop=True)
    wanted = tx.retrieval.predict(trained, known, pairs.assign(**context.set_index(pairs.index)))
    assert found["score"].to_numpy() == pytest.approx(wanted["score"].to_numpy(), abs=1e-6)
    assert list(found["label"]) == list((both.frame["rating"].iloc[len(known) :] >= 4).astype(float))
    figures = summarise(found)
    assert figures["events"] == len(later) and 0 < figures["auc"] < 1 and figures["log_loss"] > 0


def test_targets_that_are_known_are_refused(events):
    known, later = events
    trained = trained_model("gru", known)
    before, targets, _ = parts(trained, known, later)
    with pytest.raises(InputError, match="are known and there is nothing to predict"):
        prequential(trained, before + targets, targets)


def test_figures_of_ranks():
    predicted = pd.DataFrame({"rank": [1, 2, 3, 4, 0, 0]})
    assert summarise(predicted, k=3) == {
        "events": 6, "hr@3": 0.5, "ndcg@3": pytest.approx((1 + 1 / np.log2(3) + 0.5) / 6)
    }  # fmt: skip
