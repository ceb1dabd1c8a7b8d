"""Every kind of feature there is: learnt from, saved, and opened again with the same predictions."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch import nn

from tests.worlds import rich_world
from torchrec_ext.data import Events, leave_last_out
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.evaluation import evaluate
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel, predict, recommend
from torchrec_ext.training import Optimization, fit, load

EVENTS = rich_world()
TRAIN, VALID, TEST = leave_last_out(EVENTS)
TOLD = ("context_type", "context_words")


def ranker() -> Ranker:
    return Ranker(TRAIN.schema, 8, target_attention="din", history_fields=TOLD)


def retriever() -> TwoTower:
    of_items = ("item_image", "item_appeared_month", "item_appeared_age")
    of_queries = ("user_friends", "user_town", "context_city", "context_shelf", "context_timestamp_hour",
                  "context_timestamp_weekday", "context_paid", "context_mood")  # fmt: skip
    return TwoTower(TRAIN.schema, 8, "gru", of_queries, of_items, history_fields=TOLD)


def pairs(events: Events, count: int = 50) -> pd.DataFrame:
    """The last events of the table as pairs with their context, and one of a user and item nobody knows."""
    frame = events.frame.tail(count)
    return pd.concat([frame, frame.head(1).assign(user=9999, item=9999, city="lima")], ignore_index=True)


@pytest.mark.parametrize("make", [ranker, retriever])
def test_an_opened_run_predicts_what_the_trained_model_does(make, tmp_path):
    torch.manual_seed(0)
    model: nn.Module = make()
    trained = fit(
        model,
        TRAIN,
        VALID,
        epochs=2,
        output=tmp_path / "run",
        progress=False,
        optimization=Optimization(global_batch_size=64),
    )
    opened = load(tmp_path / "run")
    mine, its = (predict(m, EVENTS, pairs(EVENTS)) for m in (trained, opened))
    pd.testing.assert_frame_equal(mine, its)
    assert mine["score"].nunique() > 40 and not mine["known"].iloc[-1] and mine["known"].iloc[:-1].all()
    known = TRAIN + VALID
    assert dict(evaluate(trained, known, TEST, k=(5,))) == dict(evaluate(opened, known, TEST, k=(5,)))
    lists, its = (recommend(m, EVENTS, [2, 3, 9999], k=3) for m in (trained, opened))
    pd.testing.assert_frame_equal(lists, its)
    assert lists["source"].tolist() == ["model"] * 6 + ["popular"] * 3


@pytest.mark.parametrize("name", TRAIN.schema.features_of("context") + TRAIN.schema.dense_of("context"))
def test_each_feature_of_the_context_changes_a_rankers_scores(name):
    """Or the history it is read in, where it is one of its events' features."""
    torch.manual_seed(0)
    model = ranker()
    shard(model)
    initialise_tables(model, 0)
    model.eval()
    trained = TrainedModel(model, TRAIN.preparation)
    given = pairs(EVENTS, 20)
    column = next(f.column for f in TRAIN.schema.of("context") if f.name == name)
    other = given.copy()
    events, changed = EVENTS, EVENTS
    if name in TOLD:
        place = EVENTS.table.column_names.index(column)
        reversed_ = EVENTS.table[column].take(pa.array(np.arange(len(EVENTS))[::-1]))
        changed = replace(EVENTS, table=EVENTS.table.set_column(place, column, reversed_))
    else:
        other[column] = given[column].iloc[::-1].to_numpy()
        if name.startswith("context_timestamp"):
            other[column] = given[column] + 86_400 + 3600
    scores = predict(trained, events, given)["score"], predict(trained, changed, other)["score"]
    assert not np.allclose(*scores, atol=1e-7)


def test_vectors_in_the_item_tower_by_hand():
    model = TwoTower(TRAIN.schema, 4, item_fields=("item_image", "item_appeared_age"))
    shard(model)
    initialise_tables(model, 0)
    assert model.item_tower.mix.in_features == 4 + 3 + 1
    rows = np.array([7, 0, 2])
    batch = Batcher(TRAIN.preparation, TRAIN.events, model.inputs).items(rows)
    images = np.stack(
        EVENTS.items.set_index("item")["image"][TRAIN.preparation.vocabularies["item"].ids(rows[[0, 2]])]
    )
    lengths = np.linalg.norm(images, axis=1, keepdims=True)
    np.testing.assert_allclose(batch.candidate_dense[[0, 2], :3], images / lengths, rtol=1e-5)
    own = model.embeddings.state_dict()["events.embeddings.item.weight"].local_shards()[0].tensor[rows, :4]
    mix = model.item_tower.mix
    expected = own @ mix.weight[:, :4].T + batch.candidate_dense @ mix.weight[:, 4:].T + mix.bias
    torch.testing.assert_close(model.encode_items(batch), expected)


def test_numbers_and_vectors_are_one_field_of_a_ranker():
    model = Ranker(TRAIN.schema, 4, ("user", "item_image", "context_mood", "context_paid"))
    assert model.inputs.dense == ("context_paid", "context_mood", "item_image")
    assert model.arch.dense_arch.in_features == 2 + 3 + 3
    batch = Batcher(TRAIN.preparation, TRAIN.events, model.inputs).pairs(
        np.array([0, 1]), np.array([0, 0]), np.array([1, 2]),
        {name: TRAIN.events.context[name][:2] for name in ("context_paid", "context_mood")},
    )  # fmt: skip
    of_items = TRAIN.preparation.sides["item"].dense["item_image"]
    paid, mood = (TRAIN.events.context[name] for name in ("context_paid", "context_mood"))
    np.testing.assert_allclose(batch.dense, np.hstack([paid[:2], mood[:2], of_items[[1, 2]]]))


def test_a_ranker_learns_from_a_vector():
    """Whether a pair is liked is the sign of one number of its mood."""
    rated = EVENTS.frame.assign(rating=np.where(np.stack(EVENTS.frame["mood"])[:, 1] > 0, 5.0, 1.0))
    table = EVENTS.table.drop_columns("rating").append_column("rating", pa.array(rated["rating"]))
    train, _, _ = leave_last_out(replace(EVENTS, table=table))
    losses: list[float] = []
    fit(
        Ranker(train.schema, 8, ("user", "context_mood")),
        train,
        epochs=12,
        progress=False,
        on_step=lambda _, loss: losses.append(loss),
        optimization=Optimization(global_batch_size=64, learning_rate=0.02),
    )
    assert losses[0] > 0.6 and np.mean(losses[-5:]) < 0.2
