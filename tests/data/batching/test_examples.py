"""NextEvents, LastEvents, HiddenEvents: what is read and learnt, how often, and what it weighs."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, event_rows, read
from tests.worlds import small_world
from torchrec_ext.batch import Inputs
from torchrec_ext.data import Dataset, leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.batching.next_events import NextEvents
from torchrec_ext.distributed import shard
from torchrec_ext.errors import InputError
from torchrec_ext.models import RetrievalTask, TwoTower


def train_part(*histories, **settings):
    """The training part of users a, b, c with these items."""
    items = dict(zip("abc", histories, strict=False))
    rows = [(user, item, START + n) for user, own in items.items() for n, item in enumerate(own)]
    return leave_last_out(read(rows), **settings)[0]


def make(kind, train, length, candidates="catalogue", **inputs):
    wanted = Inputs(max_length=length, candidates=True, **inputs)
    return kind(train, wanted, Candidates.of(train, candidates, 3))


def read_out(found, chosen=None, salt=0):
    """The item rows of each example's history and of its targets, 0 where there is none."""
    chosen = np.arange(len(found.sizes())) if chosen is None else np.array(chosen)
    batch = found.batch(chosen, 1.0, np.random.default_rng(0), salt)
    sequences, labels = batch.sequences.to_dict(), batch.labels.numpy()
    targets = np.where(labels < 0, 0, sequences["candidates"].values().numpy()[labels])
    lengths = sequences["history"].lengths().numpy()
    each = np.ones_like(lengths) if isinstance(found, LastEvents) else lengths
    history = np.split(sequences["history"].values().numpy(), np.cumsum(lengths)[:-1])
    targets = np.split(targets, np.cumsum(each)[:-1])
    return [(items.tolist(), wanted.tolist()) for items, wanted in zip(history, targets, strict=True)]


def test_windows_of_next_events_by_hand():
    # a trains on the items 1 to 6, b on one and c on two; the item n gets row n
    found = make(NextEvents, train_part(range(1, 9), [1], [2, 5]), 3)
    assert found.sizes().tolist() == [2, 3, 1]
    assert read_out(found) == [([1, 2], [2, 3]), ([3, 4, 5], [4, 5, 6]), ([2], [5])]
    assert [found.weight(np.array(w)) for w in ([0], [1], [2, 0])] == [2, 3, 3]


def test_last_events_by_hand():
    train = train_part(range(1, 7), [6], [5, 1])  # a trains on 1 to 4
    found = make(LastEvents, train, 2)
    assert read_out(found) == [([1], [2]), ([1, 2], [3]), ([2, 3], [4]), ([5], [1])]
    assert read_out(found, [3, 0]) == [([5], [1]), ([1], [2])]
    assert found.sizes().tolist() == [1, 2, 2, 1] and found.weight(np.array([0, 3])) == 2
    # first events are targets too where the model reads more than the history, or no history
    for length, sizes in ((2, [0, 1, 2, 2, 0, 0, 1]), (0, [0] * 7)):
        found = make(LastEvents, train, length, fields=("user",))
        assert found.sizes().tolist() == sizes
        batch = found.batch(np.array([4, 6]), 2.0, np.random.default_rng(0))
        assert batch.fields.to_dict()["user"].values().tolist() == [2, 3]
        assert (batch.labels + 1).tolist() == [6, 1]


def test_unknown_items_are_history_but_no_target():
    train = train_part((1, 2, 1, 1, 3, 4, 9, 9), min_count=2)  # 2, 3 and 4 are rare
    assert train.events.items.tolist() == [1, 0, 1, 1, 0, 0]
    # the windows are [1], [0, 1], [1, 0] and the targets [0], [1, 1], [0, 0]; or there is one window
    for length, cut in ((2, ([0, 1], [1, 1])), (5, ([1, 0, 1, 1, 0], [0, 1, 1, 0, 0]))):
        found = make(NextEvents, train, length)
        assert read_out(found) == [cut] and found.weight(np.array([0])) == 2
    assert read_out(make(LastEvents, train, 3)) == [([1, 0], [1]), ([1, 0, 1], [1])]


@settings(deadline=None)
@given(event_rows(), st.integers(1, 4), st.sampled_from(["catalogue", "sampled", "in_batch"]))
def test_every_next_event_is_learnt_once(rows, length, kind):
    try:
        train = leave_last_out(read(rows))[0]
        found = make(NextEvents, train, length, kind)
    except InputError:
        return
    log = train.events
    histories = [log.items[s:e].tolist() for s, e in zip(log.offsets[:-1], log.offsets[1:], strict=True)]
    expected = sorted((u, a, b) for u, h in enumerate(histories) for a, b in zip(h[:-1], h[1:], strict=True))
    cut = read_out(found)
    learnt = [(user, a, b) for user, w in zip(found.users, cut, strict=True) for a, b in zip(*w, strict=True)]
    assert sorted(learnt) == expected
    assert found.weight(np.arange(len(cut))) == len(expected)
    assert [len(inputs) for inputs, _ in cut] == found.sizes().tolist()
    assert 1 <= found.sizes().min() <= found.sizes().max() <= length
    for user, (inputs, targets) in zip(found.users, cut, strict=True):
        text = ",".join(map(str, histories[user]))
        assert ",".join(map(str, [*inputs, targets[-1]])) in text  # a slice, oldest first
    first = np.append(True, np.diff(found.users) > 0)
    assert (found.sizes()[~first] == length).all()


@pytest.mark.parametrize(
    ("kind", "match"),
    [
        (NextEvents, "the train part has no known item after another event"),
        (LastEvents, "the train part has no known item with a history"),
        (HiddenEvents, "no user of the train part has a known item: there is nothing to learn"),
    ],
)
def test_there_must_be_something_to_learn(kind, match):
    train = train_part((1, 2, 3))  # one event is for training
    if kind is HiddenEvents:
        train.events.items[:] = 0
    with pytest.raises(InputError, match=match):
        kind(train, Inputs(max_length=2, masked=0.5), Candidates("catalogue", np.ones(3)))


HIDDEN = make(HiddenEvents, leave_last_out(small_world())[0], 7, masked=0.3)


def test_windows_hold_each_event_once_and_each_has_one_that_is_hidden():
    items = HIDDEN.train.events.items
    histories, targets = zip(*read_out(HIDDEN, salt=5), strict=True)
    assert max(map(len, histories)) == 7 and all(map(any, targets))
    assert sorted(np.concatenate(histories)) == sorted(items)
    read_items, hidden = np.concatenate(histories), np.concatenate(targets)
    assert (hidden[hidden > 0] == read_items[hidden > 0]).all()
    assert HIDDEN.weight(np.arange(len(histories)), 5) == (hidden > 0).sum()
    assert 0.25 < (hidden > 0).mean() < 0.45


def test_what_is_hidden_changes_with_the_salt_and_not_with_the_company_or_the_ranks():
    some = read_out(HIDDEN, range(20), salt=5)
    assert some != read_out(HIDDEN, range(20), salt=6)
    assert some[:1] == read_out(HIDDEN, [0], salt=5)
    whole = next(iter(Loader(HIDDEN, 8).epoch(0)))
    parts = [next(iter(Loader(HIDDEN, 8, rank=rank, world_size=2).epoch(0))) for rank in range(2)]
    assert sorted(whole.labels.tolist()) == sorted(parts[0].labels.tolist() + parts[1].labels.tolist())
    assert whole.total == parts[0].total == parts[1].total


CATALOGUE = Candidates("catalogue", np.ones(4))
TYPES = ["view", "purchase", "search", "odd", "view", "view", "view", "purchase"]
WEIGHTS = [1.0, 4.0, 0.0, 1.0, 1.0]  # a view, a purchase, a search, a type that is not named; and a view


def weighing(**more) -> Dataset:
    """a trains on the items 1, 2, 3, 4, 1 and b on 2; the item n gets row n."""
    frame = pd.DataFrame({"user": list("aaaaaaab"), "item": [1, 2, 3, 4, 1, 2, 3, 2], "type": TYPES})
    return leave_last_out(read_events(frame, context=["type"], **more))[0]


def test_events_weigh_by_their_type():
    assert weighing(weights={"view": 0.5, "odd": 3}).events.weights.tolist() == [0.5, 4, 0, 3, 0.5, 4]
    train = weighing()
    assert train.events.weights.tolist() == train.events.target_weights().tolist() == [*WEIGHTS, 4.0]
    found = LastEvents(train, TwoTower(train.schema, 4).inputs, CATALOGUE)
    assert found.events.tolist() == [0, 1, 3, 4, 5]  # a search is history, but no target
    assert [found.weight(np.array(chosen)) for chosen in ([0], [1, 2], [0, 1, 2, 3, 4])] == [1, 5, 11]
    assert found.batch(np.array([1, 0]), 5.0, np.random.default_rng(0)).weights.tolist() == [4, 1]
    found = HiddenEvents(train, Inputs(max_length=9, masked=0.9, candidates=True), CATALOGUE)
    batch = found.batch(np.array([0, 1]), 1.0, np.random.default_rng(0))
    assert batch.weights.tolist() == [*WEIGHTS, 4]
    assert found.weight(np.array([0, 1])) == batch.weights[batch.labels >= 0].sum() > 1


def test_the_loss_of_next_events_by_hand():
    """The mean of the events so far scores the items, whose vectors are multiples of one direction."""
    train = weighing()
    model = TwoTower(train.schema, 4, "mean_pool", max_length=9)
    shard(model)
    heights = np.array([0, 1, -1, 0.5, 2])
    tables = model.embeddings.state_dict()
    (table,) = [value for name, value in tables.items() if "item" in name]
    table.local_shards()[0].tensor.copy_(torch.tensor(np.outer(heights, [1, 0, 0, 0])))
    heights[3] = 0  # item 3 was only searched for: it is read as the unknown item
    # the window of a is [1, 2, 3, 4] with the targets 2, 3, 4, 1; b has no event after another
    found, chosen = NextEvents(train, model.inputs, CATALOGUE), np.array([0])
    batch = found.batch(chosen, 6.0, np.random.default_rng(0))
    assert batch.labels.tolist() == [1, -1, 3, 0]  # the search is read and never a target
    assert batch.weights.tolist() == [4, 0, 1, 1] and found.weight(chosen) == 6
    loss, _ = RetrievalTask(model)(batch)
    scores = np.outer([1, 0, 2 / 4], heights[1:])  # means of the heights of 1; 1 to 3; 1 to 4
    losses = np.log(np.exp(scores).sum(1)) - scores[range(3), [1, 3, 0]]
    assert loss.item() == pytest.approx(losses @ [4, 1, 1] / 6, abs=1e-6)
