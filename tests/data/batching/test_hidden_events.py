"""HiddenEvents: which events are hidden, and that every window has one."""

import numpy as np
import pandas as pd
import pytest

from tests.worlds import small_world
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.hidden_events import HiddenEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.errors import InputError

WANTED = Inputs(max_length=7, masked=0.3, candidates=True)
CATALOGUE = Candidates("catalogue", np.ones(30))


@pytest.fixture(scope="module")
def train():
    return leave_last_out(small_world())[0]


def labels_of(examples, chosen, salt):
    batch = examples.batch(chosen, 1.0, np.random.default_rng(0), salt)
    history = batch.sequences.to_dict()["history"]
    return batch.labels.numpy(), history.values().numpy(), history.lengths().numpy()


def test_windows_hold_each_event_once(train):
    examples = HiddenEvents(train, WANTED, CATALOGUE)
    everything = np.arange(len(examples.sizes()))
    _, items, lengths = labels_of(examples, everything, 0)
    assert len(items) == len(train.events) and lengths.max() == 7
    assert np.array_equal(np.bincount(items, minlength=31), np.bincount(train.events.items, minlength=31))


def test_a_label_is_the_hidden_item_and_every_window_has_one(train):
    examples = HiddenEvents(train, WANTED, CATALOGUE)
    everything = np.arange(len(examples.sizes()))
    labels, items, lengths = labels_of(examples, everything, 5)
    hidden = labels >= 0
    assert np.array_equal(labels[hidden] + 1, items[hidden])
    assert all(part.any() for part in np.split(hidden, np.cumsum(lengths)[:-1]))
    assert 0.25 < hidden.mean() < 0.45
    assert examples.weight(everything, 5) == hidden.sum()


def test_other_events_are_hidden_at_another_salt_and_the_same_in_any_company(train):
    examples = HiddenEvents(train, WANTED, CATALOGUE)
    some = np.arange(20)
    labels, _, lengths = labels_of(examples, some, 5)
    assert not np.array_equal(labels, labels_of(examples, some, 6)[0])
    assert np.array_equal(labels[: lengths[0]], labels_of(examples, some[:1], 5)[0])


def test_ranks_hide_what_one_process_hides(train):
    examples = HiddenEvents(train, WANTED, CATALOGUE)
    whole = next(iter(Loader(examples, 8).epoch(0)))
    parts = [next(iter(Loader(examples, 8, rank=rank, world_size=2).epoch(0))) for rank in range(2)]
    assert sorted(whole.labels.tolist()) == sorted(parts[0].labels.tolist() + parts[1].labels.tolist())
    assert whole.total == parts[0].total == parts[1].total


def test_no_known_item():
    events = read_events(pd.DataFrame({"user": [1] * 4, "item": list("abcd")}))
    train, _, _ = leave_last_out(events)
    train.events.items[:] = 0
    with pytest.raises(InputError, match="no user of the train part has a known item"):
        HiddenEvents(train, WANTED, Candidates("catalogue", np.ones(4)))
