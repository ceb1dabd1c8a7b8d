"""Models that read the features of a history's events, where nothing else tells what comes next."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from tests.worlds import small_world
from torchrec_ext.batch import Inputs
from torchrec_ext.data import Dataset, by_user, leave_last_out, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.distributed import shard
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.models.event_vectors import event_vectors, target_vectors
from torchrec_ext.training import Optimization, fit

KINDS = 4
CHANCE = math.log(KINDS)


def planted(kind: str) -> Dataset:
    """The next item is announced by the event before it: by its type or its words, not by its item."""
    rng = np.random.default_rng(0)
    announced = rng.integers(0, KINDS, (60, 12))
    items = np.concatenate([rng.integers(0, KINDS, (60, 1)), announced[:, :-1]], 1)
    frame = pd.DataFrame({
        "user": np.repeat(np.arange(60), 12),
        "item": items.ravel(),
        "timestamp": 1_600_000_000 + np.arange(items.size),
    })  # fmt: skip
    if kind == "type":
        frame["type"] = [f"kind{n}" for n in announced.ravel()]
        events = read_events(frame, context=["type"])
    else:
        frame["words"] = [["so", f"word{n}"] for n in announced.ravel()]
        events = read_events(frame, columns={"words": {"column": "words", "kind": "categories"}},
                             context=["words"])  # fmt: skip
    return leave_last_out(events)[0]


def last_loss(model: torch.nn.Module, train: Dataset, size: int, learning_rate: float = 0.02) -> float:
    """The mean loss of the last epoch."""
    losses: list[float] = []
    optimization = Optimization(size, learning_rate=learning_rate, warmup_steps=0)
    fit(
        model, train, epochs=8, optimization=optimization, progress=False,
        on_step=lambda _, loss: losses.append(loss),
    )  # fmt: skip
    return float(np.mean(losses[-len(losses) // 8 :]))


@pytest.mark.parametrize("encoder", ["gru", "comirec"])
@pytest.mark.parametrize("kind", ["type", "words"])
def test_a_retriever_learns_from_what_its_history_did(kind, encoder):
    train = planted(kind)
    outcomes = []
    for fields in ((), (f"context_{kind}",)):
        torch.manual_seed(0)
        model = TwoTower(train.schema, 8, encoder, max_length=1 if encoder != "gru" else 20,
                         history_fields=fields)  # fmt: skip
        size = 16 if encoder == "gru" else 64
        outcomes.append(last_loss(model, train, size=size))
    without, announced = outcomes
    assert CHANCE - 0.1 < without < CHANCE + 0.1
    assert announced < CHANCE / 3


def liked_after_a_call() -> Dataset:
    """A pair is liked if and only if the event before it was a call, whatever its item."""
    rng = np.random.default_rng(0)
    call = rng.random((60, 12)) < 0.5
    liked = np.concatenate([rng.random((60, 1)) < 0.5, call[:, :-1]], 1)
    frame = pd.DataFrame({
        "user": np.repeat(np.arange(60), 12),
        "item": rng.integers(0, 5, call.size),
        "timestamp": 1_600_000_000 + np.arange(call.size),
        "rating": np.where(liked, 5, 1).ravel(),
        "type": np.where(call, "call", "visit").ravel(),
    })  # fmt: skip
    return leave_last_out(read_events(frame, context=["type"]))[0]


@pytest.mark.parametrize("attention", ["din", "dien", "bst"])
def test_a_ranker_learns_from_what_its_history_did(attention):
    train = liked_after_a_call()
    outcomes = []
    for fields in ((), ("context_type",)):
        torch.manual_seed(0)
        model = Ranker(train.schema, 8, (), target_attention=attention, max_length=1, history_fields=fields)
        outcomes.append(last_loss(model, train, size=64, learning_rate=0.01))
    without, announced = outcomes
    assert without > 0.6
    assert announced < 0.35  # of a tenth of the pairs, a user's first, nothing is known


@pytest.mark.parametrize("mix", ["sum", "scale"])
def test_the_mean_of_several_ids_joins_the_item(mix):
    train = planted("words")
    model = TwoTower(train.schema, 4, "mean_pool", history_fields=("context_words",), history_mix=mix)
    shard(model)
    tables = {k: v.local_shards()[0].tensor for k, v in model.embeddings.state_dict().items()}
    for name, table in tables.items():
        table.copy_(torch.arange(table.numel()).view_as(table) * (1.0 if "item" in name else 0.01))
    batch = Batcher(train.preparation, train.events, model.inputs).queries(np.array([0]), np.array([1]))
    item, words = train.events.items[0], np.array(train.events.context["context_words"][0].as_py())
    assert len(words) == 2
    item_D = tables["events.embeddings.item.weight"][item]
    words_D = tables["events.embeddings.context_words.weight"][words].mean(0)
    expected = item_D + words_D if mix == "sum" else item_D * (1 + words_D)
    torch.testing.assert_close(model.encode_queries(batch)[0], expected)


def test_features_of_items_join_events_and_the_candidate():
    train = leave_last_out(small_world())[0]
    model = Ranker(train.schema, 4, (), target_attention="din", history_fields=("item_genres",))
    shard(model)
    items = train.preparation.vocabularies["item"].rows([102, 103])  # even and third; odd
    even, third, odd = train.preparation.vocabularies["item_genres"].rows(["even", "third", "odd"])
    tables = {
        name: shards.local_shards()[0].tensor
        for name, shards in model.state_dict().items()
        if "embedding" in name
    }
    for name, table in tables.items():
        table.copy_(torch.arange(table.numel()).view_as(table) * (1.0 if "genres" in name else 0.01))
    log = replace(train.events, items=np.full(len(train.events), items[0], np.int32))
    batch = Batcher(train.preparation, log, model.inputs).pairs(np.array([0]), np.array([1]), items[1:])
    _, sequences, weights_BT = model.look_up(batch)
    item, genre = (tables[f"embeddings.events.embeddings.{n}.weight"] for n in ("item", "item_genres"))
    event_D = event_vectors(sequences, model.inputs, batch).values()[0]
    torch.testing.assert_close(event_D, item[items[0]] + (genre[even] + genre[third]) / 2)
    target_D = target_vectors(sequences, model.inputs, batch)[0]
    torch.testing.assert_close(target_D, item[items[1]] + genre[odd])
    weights = "id_weights.candidates.embedding_bags.{}_first_order.weight"
    of_item, of_genre = (tables[weights.format(name)] for name in ("item", "item_genres"))
    torch.testing.assert_close(weights_BT[0], of_item[items[1], :1] + of_genre[odd, :1])


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (
            {"encoder": "gru", "history_fields": ("type",)},
            "names 'type'.*there are context_type",
        ),
        ({"encoder": "gru", "history_fields": ("user",)}, "is not a categorical feature of the events or of"),
        ({"encoder": "gru", "history_fields": ("item",)}, "names 'item'.*there are context_type"),
        ({"history_fields": ("context_type",)}, "but the model reads no history; leave it out"),
        ({"encoder": "gru", "history_mix": "product"}, "history_mix should be .*received 'product'"),
        (
            {"encoder": "gru", "history_fields": ("context_type",), "query_fields": ("context_type",)},
            "table 'context_type' is wanted both pooled",
        ),
    ],
)
def test_what_is_refused(settings, match):
    with pytest.raises(InputError, match=match):
        TwoTower(planted("type").schema, 8, **settings)


def test_a_ranker_without_a_history_refuses_its_features():
    with pytest.raises(InputError, match="but the model reads no history"):
        Ranker(planted("type").schema, 8, history_fields=("context_type",))


def test_held_out_users_are_served_with_the_features_of_their_events():
    """A user who was not in training is read by history and type alone."""
    train = planted("type")
    model = TwoTower(train.schema, 8, GRU(8, dropout=0.0), history_fields=("context_type",))
    assert model.inputs == Inputs(
        max_length=200, history_fields=("context_type",), candidates=True, every_position=True
    )
    train, _, test = by_user(train.table, valid=0.1, test=0.2)
    log, ends = train.known_before(test)
    users = log.users[ends - 1][:3]
    sequences = Batcher(train.preparation, log, model.inputs).queries(users, ends[:3]).sequences.to_dict()
    assert sequences["history_context_type"].lengths().tolist() == sequences["history"].lengths().tolist()
    assert (sequences["history_context_type"].values() > 0).all()
