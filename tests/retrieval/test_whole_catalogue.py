"""catalogue="all": items without an event are recommended by their features."""

import numpy as np
import pandas as pd
import pytest
import torch

import torchrec_ext as tx
from tests import processes

ITEMS = pd.DataFrame({"item": [*range(12), 100, 101], "genre": ["rock"] * 6 + ["pop"] * 6 + ["rock", "pop"]})
"""Nobody has had the items 100 and 101."""


def events(catalogue):
    """Forty users had five of the six rock songs, and forty others of the pop songs."""
    rng = np.random.default_rng(0)
    genres = (("rock", 0), ("pop", 6))
    heard = [(f"{g}{n}", first + i) for g, first in genres for n in range(40) for i in rng.permutation(6)[:5]]
    frame = pd.DataFrame(heard, columns=["user", "item"])
    return tx.data.read_events(frame, items=ITEMS, catalogue=catalogue)


def lists(catalogue, folder=None):
    """The trained model, and the items of a user of each genre, best first."""
    found = events(catalogue)
    train, valid, test = tx.data.leave_last_out(found)
    torch.manual_seed(0)
    encoder = tx.encoders.GRU(8, dropout=0.0)
    model = tx.models.TwoTower(train.schema, 8, encoder, item_fields=["item_genre"])
    settings = tx.training.Optimization(learning_rate=0.02)
    trained = tx.training.fit(model, train, epochs=10, optimization=settings, progress=False, output=folder)
    ranked = tx.retrieval.recommend(trained, found, ["rock0", "pop0"], k=2)
    report = tx.evaluation.evaluate(trained, train + valid, test, k=(2,))
    return trained, ranked.groupby("user")["item"].apply(list).to_dict(), dict(report)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    return lists("all", tmp_path_factory.mktemp("run") / "all")


def test_an_item_without_an_event_is_recommended_by_its_features(everything):
    trained, found, _ = everything
    # each had five of six songs: what is left is the sixth and the new one
    assert 100 in found["rock0"] and 101 in found["pop0"]
    assert trained.item_vectors()["item"].tolist()[-2:] == [100, 101]
    new = tx.retrieval.recommend(trained, events("all"), ["rock0"], 1, where="item > 99")
    assert new["item"].tolist() == [100]
    # nothing was learnt of its id
    pairs = pd.DataFrame({"user": "rock0", "item": [0, 100]})
    assert tx.retrieval.predict(trained, events("all"), pairs)["known"].tolist() == [True, False]


def test_a_run_remembers_that_it_offers_all(everything):
    again = tx.training.load(everything[0].run)
    assert (
        tx.retrieval.recommend(again, events("all"), ["rock0"], 2)["item"].tolist() == everything[1]["rock0"]
    )


def test_without_it_only_items_with_events_are_in_the_catalogue():
    trained, found, _ = lists("events")
    assert len(trained.item_vectors()) == 12 and max(map(max, found.values())) < 12


def test_a_session_of_items_without_an_event_is_known_by_their_features():
    found = events("all")
    train = tx.data.leave_last_out(found)[0]
    torch.manual_seed(0)
    encoder = tx.encoders.GRU(8, dropout=0.0)
    model = tx.models.TwoTower(train.schema, 8, encoder, history_fields=["item_genre"])
    settings = tx.training.Optimization(learning_rate=0.02)
    trained = tx.training.fit(model, train, epochs=10, optimization=settings, progress=False)
    ranked = tx.retrieval.recommend(trained, found, sessions=[[100], [101]], k=6)
    assert set(ranked["source"]) == {"model"}
    assert set(ranked["item"][:6]) == {*range(6)} and set(ranked["item"][6:]) == {*range(6, 12)}


@pytest.mark.slow
def test_two_processes_find_what_one_does(everything):
    for found, figures in processes.run(_lists):
        assert found == everything[1] and figures == pytest.approx(everything[2], abs=1e-5)


def _lists():
    return lists("all")[1:]
