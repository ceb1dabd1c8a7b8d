"""What the package says of all items: the map, norms, rows without training; and which fields matter."""

import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.explanation.by_hand import VECTORS, built, mean_of_songs, rows, songs
from tests.retrieval.trained import TRAIN, VALID
from tests.serving.models import model
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.explanation import field_importance, item_map, item_norms, item_positions, untrained_rows
from torchrec_ext.models import Ranker, TwoTower


@pytest.fixture(scope="module")
def data():
    return songs()


def test_positions_are_the_principal_components_of_unit_vectors(data):
    found = item_positions(mean_of_songs(data[1]))
    unit = np.array([np.array(VECTORS[item]) / np.linalg.norm(VECTORS[item]) for item in found["item"]])
    centred = unit - unit.mean(0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(abs(found[["x", "y"]]), abs(left * sizes), atol=1e-6)
    assert found.attrs["explained"] == pytest.approx((sizes**2 / (sizes**2).sum()).tolist(), abs=1e-6)


def test_a_map_has_a_point_for_each_item_and_a_legend_of_the_kinds(data):
    events, train = data
    figure = item_map(mean_of_songs(train), events, "kind")
    points = [len(drawn.get_offsets()) for drawn in figure.axes[0].collections]
    assert points == [0, 2, 2] and [text.get_text() for text in figure.legends[0].get_texts()] == ["x", "y"]
    assert not item_map(mean_of_songs(train), events).legends
    with pytest.raises(
        InputError, match="colour should be a column of the items, received 'genre'; there is"
    ):
        item_map(mean_of_songs(train), events, "genre")
    with pytest.raises(InputError, match="needs a retriever"):
        item_map(model("interaction dot"), events)


def test_rare_kinds_are_others():
    frame = pd.DataFrame({"user": [1] * 3 + [2] * 3, "item": list("abcdef")})
    table = pd.DataFrame({"item": list("abcdef"), "kinds": [["p", "q"], ["p"], [], ["q"], None, ["p"]]})
    events = read_events(frame, items=table, catalogue="all")
    train = leave_last_out(events)[0]
    vectors = {item: [float(i), 1.0] for i, item in enumerate("abcdef")}
    trained = built(
        TwoTower(train.schema, 2, "mean_pool"),
        train,
        {"embeddings.tables.item.weight": rows(train, "item", vectors)},
    )
    figure = item_map(trained, events, "kinds")
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["other", "p", "q"]  # a's first value is p; c and e have none
    assert [len(drawn.get_offsets()) for drawn in figure.axes[0].collections] == [2, 3, 1]


def test_umap_is_an_extra(data, monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"torchrec-ext\[umap\]"):
        item_positions(mean_of_songs(data[1]), method="umap")

    class UMAP:
        def __init__(self, n_components, metric, random_state):
            assert (n_components, metric, random_state) == (2, "cosine", 5)

        def fit_transform(self, vectors):
            return vectors[:, :2]

    monkeypatch.setitem(sys.modules, "umap", SimpleNamespace(UMAP=UMAP))
    found = item_positions(mean_of_songs(data[1]), method="umap", seed=5)
    assert found.set_index("item").loc["a"].tolist() == [1, 0]


def test_norms_beside_popularity(data):
    events, train = data
    found = item_norms(mean_of_songs(train), events)
    assert found["item"].tolist() == ["a", "b", "c", "d"] and found["events"].tolist() == [6, 5, 2, 2]
    assert found["title"].tolist()[0] == "Song a" and found["trained"].all()
    assert dict(zip(found["item"], found["norm"], strict=True)) == pytest.approx(
        {"a": 1, "b": 2, "c": 10**0.5, "d": 2**0.5}
    )
    # ranks of the events and of the norms
    assert found.attrs["rank_correlation"] == pytest.approx(np.corrcoef([4, 3, 1.5, 1.5], [1, 3, 4, 2])[0, 1])


def test_rows_without_training():
    found = untrained_rows(model("encoder gru")).set_index("table")
    trained = TRAIN.preparation.trained
    assert found.loc["item", "untrained"] == int((~trained.items[1:]).sum())
    assert found.loc["user", "rows"] == len(trained.users) - 1


def test_the_only_feature_that_decides_matters_alone():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"user": np.repeat(np.arange(50), 20), "item": rng.integers(40, size=1000)})
    frame["rating"] = np.where(frame["item"] % 2, 5, 1)
    table = pd.DataFrame({"item": range(40), "kind": ["even", "odd"] * 20, "price": rng.random(40)})
    train, valid, _ = leave_last_out(read_events(frame, items=table))
    module = Ranker(train.schema, 2, ("item", "item_kind", "item_price"), interaction="concat", over_arch=())
    sizes = {name: len(train.preparation.vocabularies[name]) for name in ("item", "item_kind")}
    zeros = {f"{part}.tables.{n}.weight": torch.zeros(size, width) for n, size in sizes.items()
             for part, width in (("embeddings", 2), ("id_weights", 1))}  # fmt: skip
    dense = {n: torch.zeros(p.shape) for n, p in module.named_parameters() if not p.is_meta}
    kinds = {"id_weights.tables.item_kind.weight": rows(train, "item_kind", {"odd": [2.0], "even": [-2.0]})}
    ranker = built(module, train, {**dense, **zeros, **kinds})
    found = field_importance(ranker, train, valid, repeats=5, seed=1)
    importance = dict(zip(found["feature"], found["importance"], strict=True))
    assert found.attrs["auc"] == 1 and found["feature"][0] == "item_kind"
    assert importance["item"] == importance["item_price"] == 0
    assert importance["item_kind"] == pytest.approx(0.5, abs=0.15)  # by chance half the pairs are in order


def test_the_history_is_a_feature_of_a_ranker_that_reads_one():
    found = field_importance(model("attention din"), TRAIN, VALID, repeats=2, most=50)
    read = model("attention din").inputs
    assert {*found["feature"]} == {*read.fields, *read.dense, "item", "history"}
    assert (found.set_index("feature").loc[["history", "item"], "importance"] != 0).all()
    with pytest.raises(InputError, match="field_importance needs a ranker"):
        field_importance(model("encoder gru"), TRAIN, VALID)
