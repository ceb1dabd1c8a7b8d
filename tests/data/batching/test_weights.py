"""Events that weigh by their type: weights of the batches, and the loss worked out by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from torchrec_ext.data import Dataset, leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import shard
from torchrec_ext.models import RetrievalTask, TwoTower

CATALOGUE = Candidates("catalogue", np.ones(4))
TYPES = ["view", "purchase", "search", "odd", "view", "view", "view", "purchase"]
WEIGHTS = [1.0, 4.0, 0.0, 1.0, 1.0]  # a view, a purchase, a search, a type that is not named; and a view


def train_part(**more) -> Dataset:
    """a trains on the items 1, 2, 3, 4, 1 and b on 2; the item n gets row n."""
    frame = pd.DataFrame({"user": list("aaaaaaab"), "item": [1, 2, 3, 4, 1, 2, 3, 2], "type": TYPES})
    return leave_last_out(read_events(frame, context=["type"], **more))[0]


def test_the_log_knows_what_each_event_counts():
    train = train_part()
    assert train.events.weights.tolist() == [*WEIGHTS, 4.0]
    assert train.events.target_weights().tolist() == [1, 4, 0, 1, 1, 4]
    assert train_part(weights={"view": 0.5, "odd": 3}).events.weights.tolist() == [0.5, 4, 0, 3, 0.5, 4]


def test_last_events():
    train = train_part()
    found = LastEvents(train, TwoTower(train.schema, 4).inputs, CATALOGUE)
    assert found.events.tolist() == [0, 1, 3, 4, 5]  # a search is history, but no target
    assert [found.weight(np.array(chosen)) for chosen in ([0], [1, 2], [0, 1, 2, 3, 4])] == [1, 5, 11]
    assert found.batch(np.array([1, 0]), 5.0, np.random.default_rng(0)).weights.tolist() == [4, 1]


def test_the_loss_of_next_events_by_hand():
    """The mean of the events so far scores the items, whose vectors are multiples of one direction."""
    train = train_part()
    model = TwoTower(train.schema, 4, "mean_pool", max_length=9)
    shard(model)
    heights = np.array([0, 1, -1, 0.5, 2])
    tables = model.embeddings.state_dict()
    (table,) = [value for name, value in tables.items() if "item" in name]
    table.local_shards()[0].tensor.copy_(torch.tensor(np.outer(heights, [1, 0, 0, 0])))
    heights[3] = 0  # item 3 was only searched for: it is read as the unknown item
    found = NextEvents(train, model.inputs, CATALOGUE)
    # the window of a is [1, 2, 3, 4] with the targets 2, 3, 4, 1; b has no event after another
    chosen = np.array([0])
    batch = found.batch(chosen, found.weight(chosen), np.random.default_rng(0))
    assert batch.labels.tolist() == [1, -1, 3, 0]  # the search is read and never a target
    assert batch.weights.tolist() == [4, 0, 1, 1] and found.weight(chosen) == 6
    loss, _ = RetrievalTask(model)(batch)
    scores = np.outer([1, 0, 2 / 4], heights[1:])  # means of the heights of 1; 1 to 3; 1 to 4
    losses = np.log(np.exp(scores).sum(1)) - scores[range(3), [1, 3, 0]]
    assert loss.item() == pytest.approx(losses @ [4, 1, 1] / 6, abs=1e-6)


@pytest.mark.parametrize("salt", range(3))
def test_the_loss_of_hidden_events_is_their_weighted_mean(salt):
    train = train_part()
    torch.manual_seed(0)
    model = TwoTower(train.schema, 4, "bert4rec", max_length=9)
    shard(model)
    model.eval()
    found = HiddenEvents(train, replace(model.inputs, masked=0.9), CATALOGUE)
    chosen = np.array([0, 1])
    batch = found.batch(chosen, found.weight(chosen, salt), np.random.default_rng(0), salt)
    hidden = batch.labels >= 0
    weights = batch.weights[hidden]
    assert batch.weights.tolist() == [*WEIGHTS, 4] and found.weight(chosen, salt) == weights.sum()
    assert len(set(weights.tolist())) > 1
    loss, _ = RetrievalTask(model)(batch)
    fields, sequences = model.embeddings(batch)
    logits = model.query_tower(fields, sequences, batch, True) @ model.item_tower(sequences, batch).T
    each = torch.nn.functional.cross_entropy(logits, batch.labels[hidden], reduction="none")
    torch.testing.assert_close(loss, (each * weights).sum() / weights.sum())
