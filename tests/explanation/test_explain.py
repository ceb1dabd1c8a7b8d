"""explain(): contributions worked out by hand, and what they add up to."""

import sys

import numpy as np
import pandas as pd
import pytest
import torch

from tests.explanation.by_hand import built, mean_of_songs, rows, songs
from tests.retrieval.trained import EVENTS
from tests.serving.models import context_of, model
from torchrec_ext.errors import InputError
from torchrec_ext.explanation import explain
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.serving import export, open_bundle


def contributions(found: pd.DataFrame) -> dict:
    """Of each event by its item, of each feature or factor by its name."""
    names = found["value"].where(found["kind"] == "event", found["name"])
    return dict(zip(names, found["contribution"], strict=True))


def test_the_mean_of_three_songs():
    # (a + b + c) / 3 = (4, 3) / 3, times d = (1, 1): 7 / 3
    events, train = songs()
    found = explain(mean_of_songs(train), events, 1, "d")
    assert found.attrs["score"] == pytest.approx(7 / 3)
    # without a (b + c) / 2 . d = 3, without b 5 / 2, without c 3 / 2
    assert contributions(found) == pytest.approx({"a": 7 / 3 - 3, "b": 7 / 3 - 5 / 2, "c": 7 / 3 - 3 / 2})
    assert found["value"].tolist() == ["c", "a", "b"]  # the largest magnitude first
    assert found["title"].tolist() == ["Song c", "Song a", "Song b"]
    assert found["name"].tolist() == [1, 3, 2]  # 1 is the newest


def test_integrated_gradients_of_a_linear_score_are_weight_times_input():
    events, train = songs()
    found = explain(mean_of_songs(train), events, 1, "d", method="integrated_gradients")
    assert contributions(found) == pytest.approx({"a": 1 / 3, "b": 2 / 3, "c": 4 / 3})
    assert found.attrs["baseline"] == 0


def test_factors_are_the_terms_of_the_dot_product():
    events, train = songs()
    found = explain(mean_of_songs(train), events, 1, "c", method="factors")
    assert contributions(found) == pytest.approx({0: 4 / 3 * 3, 1: 1.0 * 1})
    assert found["value"].tolist() == [3.0, 1.0]  # the vector of c
    assert found.attrs["score"] == pytest.approx(5)


def test_the_newest_events_alone_are_explained():
    events, train = songs()
    module = TwoTower(train.schema, 1, "mean_pool", max_length=2)
    weights = {
        "embeddings.tables.item.weight": rows(train, "item", {"a": [9.0], "b": [1.0], "c": [3.0], "d": [2.0]})
    }
    found = explain(built(module, train, weights), events, 1, "d")
    # (1 + 3) / 2 * 2 = 4; a is not read, and does not come in for one that is left out
    assert found.attrs["score"] == 4 and contributions(found) == {"b": 4 - 6, "c": 4 - 2}


def linear_ranker(train):
    """The logit is .8 for kind x, -.4 for Rome, and .3."""
    module = Ranker(train.schema, 2, ("user_city", "item_kind"), interaction="concat", over_arch=())
    return built(module, train, {
        "embeddings.tables.user_city.weight": rows(train, "user_city", {"Rome": [0.3, 0.0]}),
        "embeddings.tables.item_kind.weight": rows(train, "item_kind", {"x": [0.1, 0.2]}),
        "id_weights.tables.user_city.weight": rows(train, "user_city", {"Rome": [-1.0]}),
        "id_weights.tables.item_kind.weight": rows(train, "item_kind", {"x": [0.5]}),
        "arch.bias": torch.tensor([0.1]),
        "arch.head.linear.weight": torch.tensor([[2.0, 1.0, 1.0, 1.0]]),
        "arch.head.linear.bias": torch.tensor([0.2]),
    })  # fmt: skip


def sigmoid(x: float) -> float:
    return 1 / (1 + np.exp(-x))


def test_features_of_a_linear_ranker():
    events, train = songs()
    ranker = linear_ranker(train)
    found = explain(ranker, events, 1, "c")
    assert found.attrs["score"] == pytest.approx(sigmoid(0.7))
    lost = {"item_kind": sigmoid(0.7) - sigmoid(-0.1), "user_city": sigmoid(0.7) - sigmoid(1.1)}
    assert contributions(found) == pytest.approx(lost, abs=1e-6)
    assert dict(zip(found["name"], found["value"], strict=True)) == {"item_kind": "x", "user_city": "Rome"}
    found = explain(ranker, events, 1, "c", method="integrated_gradients")
    # of a function of a sum, each part has its share of the difference
    share = (sigmoid(0.7) - sigmoid(0.3)) / 0.4
    assert contributions(found) == pytest.approx(
        {"item_kind": 0.8 * share, "user_city": -0.4 * share}, abs=1e-6
    )
    assert found.attrs["baseline"] == pytest.approx(sigmoid(0.3))


def test_a_score_that_is_not_a_number_is_refused():
    events, train = songs()
    ranker = linear_ranker(train)
    ranker.module.state_dict()["arch.bias"].fill_(float("nan"))
    with pytest.raises(InputError, match="the score of item c is nan; did training diverge"):
        explain(ranker, events, 1, "c")


def test_a_shallow_field_contributes_its_weight():
    events, train = songs()
    fields = ("user_city", "item_kind")
    module = Ranker(train.schema, 2, fields, interaction="concat", over_arch=(), shallow=fields[:1])
    ranker = built(module, train, {
        "embeddings.tables.item_kind.weight": rows(train, "item_kind", {"x": [0.1, 0.2]}),
        "id_weights.tables.user_city.weight": rows(train, "user_city", {"Rome": [-1.0]}),
        "id_weights.tables.item_kind.weight": rows(train, "item_kind", {"x": [0.5]}),
        "arch.bias": torch.tensor([0.1]),
        "arch.head.linear.weight": torch.tensor([[2.0, 1.0]]),
        "arch.head.linear.bias": torch.tensor([0.2]),
    })  # fmt: skip
    found = explain(ranker, events, 1, "c", method="integrated_gradients")
    share = (sigmoid(0.2) - sigmoid(0.3)) / -0.1
    assert contributions(found) == pytest.approx({"item_kind": 0.9 * share, "user_city": -share}, abs=1e-6)


@pytest.mark.parametrize("kind", [np.int64, str])
def test_ids_of_another_kind_are_found(kind):
    wanted, found = (explain(model("fields"), EVENTS, user, 115) for user in (3, kind(3)))
    pd.testing.assert_frame_equal(found.drop(columns="value"), wanted.drop(columns="value"))
    values = dict(zip(found["name"], found["value"], strict=True))
    assert values["user_gender"] == "f" and values["user_age"] == EVENTS.users["age"][2]


NAMES = [
    "encoder gru",
    "encoder bert4rec",
    "encoder hstu",
    "fields",
    "factorization",
    "attention din",
    "hard search",
    "tasks",
]


@pytest.mark.parametrize("name", NAMES)
def test_integrated_gradients_add_up_to_the_difference_of_the_scores(name):
    trained = model(name)
    found = explain(trained, EVENTS, 3, 115, method="integrated_gradients", context=context_of(trained))
    difference = found.attrs["score"] - found.attrs["baseline"]
    assert found["contribution"].sum() == pytest.approx(difference, abs=2e-4)
    assert found["contribution"].abs().max() > 0


@pytest.mark.parametrize("name", ["scorer cosine", "encoder comirec", "factorization"])
def test_factors_add_up_to_the_score(name):
    found = explain(model(name), EVENTS, 3, 115, method="factors")
    score = explain(model(name), EVENTS, 3, 115).attrs["score"]
    assert found["contribution"].sum() == pytest.approx(score, abs=1e-5) and len(found) == 8


@pytest.mark.parametrize("name", ["fields", pytest.param("attention dien", marks=pytest.mark.slow)])
@pytest.mark.parametrize("method", ["leave_one_out", "integrated_gradients"])
def test_a_bundle_is_explained_as_its_model(name, method, tmp_path):
    trained = model(name)
    export(trained, tmp_path / "bundle", events=EVENTS)
    bundle = open_bundle(tmp_path / "bundle")
    wanted, found = (
        explain(m, EVENTS, 3, 115, method=method, context=context_of(trained))
        for m in (trained, bundle.model)
    )
    assert contributions(found) == pytest.approx(contributions(wanted), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "attention din",
            {"method": "factors"},
            "factors needs a retriever .* has a Ranker; use leave_one_out",
        ),
        ("scorer neumf", {"method": "factors"}, "has a NeuMF; use leave_one_out"),
        ("encoder gru", {"method": "gradient"}, "method should be .*leave_one_out.*'gradient'"),
        ("encoder gru", {"item": 999}, "none of the item ids in item is known"),
        ("encoder gru", {"user": [3]}, r"user should be one id, received \[3\]"),
        ("context", {"context": {"hour": 1.0}}, "context lacks 'device'"),
    ],
)
def test_what_cannot_be_explained_is_refused(name, settings, message):
    arguments = {"user": 3, "item": 115} | settings
    with pytest.raises(InputError, match=message):
        explain(model(name), EVENTS, **arguments)


def test_integrated_gradients_without_captum_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(InputError, match=r"torchrec-ext\[explain\]"):
        explain(model("encoder gru"), EVENTS, 3, 115, method="integrated_gradients")
