"""Encoders that hide events, and encoders of several interests, in a TwoTower."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.worlds import small_world
from torchrec_ext.contracts import MaskedEncoder, MultiInterestEncoder
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.models import RetrievalTask, TwoTower
from torchrec_ext.padding import real_events
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.training import Optimization, fit


class Around(MaskedEncoder):
    """The sum of the events that are not hidden, plus a learnt vector where one is."""

    causal = False

    def __init__(self, dim: int, masked_share: float = 0.3) -> None:
        super().__init__()
        self.dim = self.out_dim = dim
        self.masked_share = masked_share
        self.hidden = nn.Parameter(torch.ones(dim))
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, events_BTD, lengths_B, times_BT=None, masked_BT=None):
        hidden = torch.zeros(events_BTD.shape[:2], dtype=torch.bool) if masked_BT is None else masked_BT
        self.seen.append((lengths_B, hidden))
        kept = events_BTD * (real_events(events_BTD, lengths_B) & ~hidden).unsqueeze(2)
        return kept.sum(1, keepdim=True) + hidden.unsqueeze(2) * self.hidden


class FirstAndLast(MultiInterestEncoder):
    """The oldest and the newest event."""

    num_interests = 2

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = self.out_dim = dim

    def forward(self, events_BTD, lengths_B, times_BT=None):
        newest = events_BTD[torch.arange(len(events_BTD)), (lengths_B - 1).clamp(min=0)]
        return torch.stack([events_BTD[:, 0], newest], 1)


@pytest.fixture(scope="module")
def train():
    return leave_last_out(small_world())[0]


def ready(model: TwoTower) -> TwoTower:
    shard(model)
    initialise_tables(model, 0)
    return model.eval()


def test_training_hides_the_events_with_a_label_and_learns_them_alone(train):
    model = ready(TwoTower(train.schema, 8, Around(8), max_length=10))
    assert model.inputs.masked == 0.3 and not model.inputs.every_position
    examples = HiddenEvents(train, model.inputs, Candidates("catalogue", np.ones(30)))
    chosen = np.arange(6)
    batch = examples.batch(chosen, examples.weight(chosen, 1), np.random.default_rng(0), 1)
    loss, _ = RetrievalTask(model)(batch)
    lengths, hidden = model.encoder.seen[-1]
    assert hidden.sum() == (batch.labels >= 0).sum() == batch.total
    assert torch.equal(hidden[real_events(hidden, lengths)], batch.labels >= 0)
    fields, sequences = model.embeddings(batch)
    queries = model.query_tower(fields, sequences, batch, per_event_labels=True)
    assert queries.shape == (int(batch.total), 8)
    logits = queries @ model.item_tower(sequences, batch).T
    wanted = nn.functional.cross_entropy(logits, batch.labels[batch.labels >= 0])
    torch.testing.assert_close(loss, wanted)


def test_the_query_is_the_state_of_one_hidden_event_more(train):
    model = ready(TwoTower(train.schema, 8, Around(8), max_length=10))
    batcher = Batcher(train.preparation, train.events, model.inputs)
    offsets = train.events.offsets
    # user 1 has 38 events, of which the newest 9 leave room for one; then a history of 3, and an empty one
    batch = batcher.queries(np.array([0, 5, 7]), np.array([offsets[1], offsets[5] + 3, offsets[7]]))
    queries = model.encode_queries(batch)
    lengths, hidden = model.encoder.seen[-1]
    assert lengths.tolist() == [10, 4, 1]
    assert hidden.int().argmax(1).tolist() == [9, 3, 0] and hidden.sum(1).tolist() == [1, 1, 1]
    history = model.embeddings(batch)[1]["history"].values()[:10]
    torch.testing.assert_close(queries[0], history[1:].sum(0) + 1)
    torch.testing.assert_close(queries[2], torch.ones(8))


def test_the_context_of_one_target_does_not_fit_several_hidden_events(train):
    with pytest.raises(InputError, match="query_fields names context_device, the context of one target"):
        TwoTower(train.schema, 8, Around(8), ("context_device",))


def test_the_interest_nearest_to_the_target_learns_it(train):
    model = ready(TwoTower(train.schema, 8, FirstAndLast(8)))
    assert not model.inputs.per_event_labels
    examples = LastEvents(train, model.inputs, Candidates("catalogue", np.ones(30)))
    chosen = np.flatnonzero(examples.sizes() > 1)[:40]
    batch = examples.batch(chosen, 40.0, np.random.default_rng(0))
    fields, sequences = model.embeddings(batch)
    interests = model.query_tower(fields, sequences, batch)
    assert interests.shape == (40, 2, 8)
    items = model.item_tower(sequences, batch)
    scores = interests @ items.T
    best = scores[torch.arange(40), :, batch.labels].argmax(1)
    assert 0 < best.sum() < 40
    wanted = nn.functional.cross_entropy(scores[torch.arange(40), best], batch.labels)
    torch.testing.assert_close(RetrievalTask(model)(batch)[0], wanted)


def test_a_pair_scores_as_its_best_interest(train):
    model = ready(TwoTower(train.schema, 8, FirstAndLast(8)))
    batcher = Batcher(train.preparation, train.events, model.inputs)
    users, items = np.arange(5), np.arange(1, 6)
    ends = train.events.offsets[users + 1]
    with torch.no_grad():
        scores = score_pairs(model, batcher, users, ends, items)
        interests = model.encode_queries(batcher.queries(users, ends))
        vectors = model.encode_items(batcher.items(items))
    torch.testing.assert_close(scores, (interests * vectors[:, None]).sum(2).amax(1))


@pytest.mark.parametrize("encoder", [Around, FirstAndLast])
def test_fields_stand_beside_every_kind(train, encoder):
    model = TwoTower(train.schema, 8, encoder, ("user", "user_age"), query_hidden=(16,))
    losses: list[float] = []
    fit(
        model,
        train,
        epochs=8,
        progress=False,
        on_step=lambda step, loss: losses.append(loss),
        optimization=Optimization(
            global_batch_size=16 if model.inputs.masked else 128, table_learning_rate=0.2, learning_rate=0.01
        ),
    )
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
