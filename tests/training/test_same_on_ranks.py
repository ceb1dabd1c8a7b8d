"""One process and two: the same losses, the same lists."""

from collections.abc import Mapping
from functools import partial

import pandas as pd
import pytest
import torch

from tests import processes
from tests.lists import assert_same_lists
from tests.worlds import rich_world, small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.encoders import GRU, TextCNN
from torchrec_ext.evaluation import evaluate
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import recommend
from torchrec_ext.target_attention import SIM
from torchrec_ext.training import Optimization, fit

STEPS = 20
CASES: dict[str, tuple[str, Mapping[str, str]]] = {
    "retriever, item row-wise": ("retriever", {"item": "row_wise"}),
    "retriever, item table-wise": ("retriever", {"item": "table_wise"}),
    "retriever, item on every rank": ("retriever", {"item": "data_parallel"}),
    "retriever with fields": (
        "fields",
        {"user": "row_wise", "item_genres": "table_wise", "item": "row_wise"},
    ),
    "retriever, a part of the catalogue on every rank": (
        "divided",
        {"item_genres": "row_wise", "item": "row_wise"},
    ),
    "ranker, row-wise": (
        "ranker",
        {
            "user": "row_wise",
            "item": "row_wise",
            "user_first_order": "row_wise",
            "item_first_order": "row_wise",
        },
    ),
    "ranker, table-wise": (
        "ranker",
        {"user": "table_wise", "item": "table_wise", "user_first_order": "table_wise"},
    ),
    "retriever that reads what its history did": (
        "told",
        {"context_type": "row_wise", "context_words": "table_wise", "item": "row_wise"},
    ),
    "ranker that reads what its history did": (
        "told ranker",
        {"context_type": "row_wise", "context_words": "table_wise", "item": "row_wise"},
    ),
    "ranker that searches its history": ("searching ranker", {"item_genres": "row_wise"}),
    "retriever that reads words in order": ("words", {"item_genres": "row_wise", "item": "row_wise"}),
    "ranker that reads words in order": (
        "word ranker",
        {"item_genres": "row_wise", "context_device": "table_wise", "item": "row_wise"},
    ),
    "ranker, on every rank": ("ranker", {"user": "data_parallel", "item": "data_parallel"}),
}
Outcome = tuple[list[float], pd.DataFrame, dict[str, float]]


def train_and_recommend() -> dict[str, Outcome]:
    """Losses of the first steps, top-10 lists and figures of each case."""
    outcomes = {}
    monkeypatch = pytest.MonkeyPatch()
    for name, (kind, sharding) in CASES.items():
        events = rich_world() if kind.startswith("told") else small_world()
        train, valid, test = leave_last_out(events)
        torch.manual_seed(0)
        gru = GRU(16, dropout=0.0)
        if kind == "ranker":
            model: torch.nn.Module = Ranker(train.schema, dim=16)
        elif kind == "told ranker":
            told = ("context_type", "context_words")
            model = Ranker(train.schema, dim=16, target_attention="din", history_fields=told)
        elif kind == "searching ranker":
            hard = partial(SIM, top_k=2, match="item_genres")
            told = ("context_device", "item_genres")
            model = Ranker(train.schema, dim=16, target_attention=hard, history_fields=told)
        elif kind == "word ranker":
            model = Ranker(train.schema, 16, poolers={"item_genres": TextCNN(16, filters=3, dropout=0.0)})
        elif kind == "words":
            genres = {"item_genres": TextCNN(16, filters=3, dropout=0.0)}
            model = TwoTower(train.schema, 16, gru, item_fields=("item_genres",), poolers=genres)
        elif kind == "told":
            told = ("context_type", "context_words")
            model = TwoTower(train.schema, 16, gru, ("user_friends",), ("item_image",), history_fields=told)
        elif kind == "divided":
            model = TwoTower(train.schema, 16, gru, item_fields=("item_genres", "item_price"))
        elif kind == "fields":
            of_items = ("item_genres", "item_price")
            model = TwoTower(
                train.schema, 16, gru, ("user", "user_age"), of_items, history_fields=("item_genres",)
            )
        else:
            model = TwoTower(train.schema, dim=16, encoder=gru)
        losses: list[float] = []
        monkeypatch.setattr("torchrec_ext.training.examples._DIVIDED", 20 if kind == "divided" else 100_000)
        trained = fit(
            model,
            train,
            epochs=5,
            sharding=sharding,
            progress=False,
            on_step=lambda step, loss, losses=losses: losses.append(loss),
            optimization=Optimization(
                global_batch_size=65 if kind.endswith("ranker") else 15,
                learning_rate=0.01,
                table_learning_rate=0.1,
            ),
            loss=None if kind.endswith("ranker") else SoftmaxCrossEntropy("catalogue"),
        )
        lists = recommend(trained, events, [*range(1, 61), "nobody"], k=10)
        outcomes[name] = losses, lists, dict(evaluate(trained, train + valid, test, k=(3, 10)))
    monkeypatch.undo()
    return outcomes


@pytest.fixture(scope="module")
def alone() -> dict[str, Outcome]:
    return train_and_recommend()


@pytest.fixture(scope="module")
def together() -> list[dict[str, Outcome]]:
    return processes.run(train_and_recommend)


@pytest.mark.parametrize("case", CASES)
def test_two_processes_do_what_one_does(case, alone, together):
    losses, lists, figures = alone[case]
    first, second = (rank[case] for rank in together)
    assert len(losses) >= STEPS
    assert losses[STEPS - 1] < losses[0]
    assert first[0] == second[0], "both ranks are told the loss of the global batch"
    assert first[0][:STEPS] == pytest.approx(losses[:STEPS], abs=1e-4)
    pd.testing.assert_frame_equal(first[1], second[1])
    assert_same_lists(first[1], lists, tolerance=5e-3)  # scores are up to 15
    assert first[2] == second[2]
    assert first[2] == pytest.approx(figures, abs=0.02)


def test_sharding_of_the_item_table_does_not_change_the_losses(alone):
    row_wise, table_wise = (alone[f"retriever, item {kind}"][0] for kind in ("row-wise", "table-wise"))
    assert row_wise == pytest.approx(table_wise, abs=1e-5)
