"""LastEvents: an event is the target of all that happened before it."""

import numpy as np
import pytest

from tests.data.random_events import START, read
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.errors import InputError

CATALOGUE = Candidates("catalogue", np.ones(9))


def train_part(rows, **settings):
    return leave_last_out(read(rows), **settings)[0]


def pairs(found, chosen=None):
    """History and target of each example, as the batch has them."""
    chosen = np.arange(len(found.sizes())) if chosen is None else np.array(chosen)
    batch = found.batch(chosen, 1.0, np.random.default_rng(0))
    history = batch.sequences.to_dict()["history"]
    targets = batch.sequences.to_dict()["candidates"].values()[batch.labels].tolist()
    slices = history.values().split(history.lengths().tolist())
    return [(part.tolist(), target) for part, target in zip(slices, targets, strict=True)]


ROWS = [*(("a", n, START + n) for n in range(1, 7)), ("b", 6, START), ("c", 5, START), ("c", 1, START)]


def test_examples_by_hand():
    # a trains on 1 to 4, b on 6, c on 5 and 1; the item n gets row n
    found = LastEvents(train_part(ROWS), Inputs(max_length=2, candidates=True), CATALOGUE)
    assert pairs(found) == [([1], 2), ([1, 2], 3), ([2, 3], 4), ([5], 1)]
    assert pairs(found, [3, 0]) == [([5], 1), ([1], 2)]
    assert found.sizes().tolist() == [1, 2, 2, 1]
    assert found.weight(np.array([0, 3])) == 2


def test_first_events_are_targets_where_the_model_reads_more_than_the_history():
    inputs = Inputs(fields=("user",), max_length=2, candidates=True)
    found = LastEvents(train_part(ROWS), inputs, CATALOGUE)
    assert pairs(found)[:2] == [([], 1), ([1], 2)]
    assert len(found.sizes()) == 7
    assert found.sizes().tolist() == [0, 1, 2, 2, 0, 0, 1]


def test_a_model_without_history_learns_every_event():
    found = LastEvents(train_part(ROWS), Inputs(fields=("user",), candidates=True), CATALOGUE)
    assert found.sizes().tolist() == [0] * 7
    batch = found.batch(np.array([4, 6]), 2.0, np.random.default_rng(0))
    assert batch.fields.to_dict()["user"].values().tolist() == [2, 3]
    assert (batch.labels + 1).tolist() == [6, 1]


def test_unknown_items_are_history_but_no_target():
    rows = [("a", item, START + n) for n, item in enumerate((7, 8, 7, 9, 1, 1))]
    train = train_part(rows, min_count=2)
    found = LastEvents(train, Inputs(max_length=3, candidates=True), Candidates.of(train, "catalogue"))
    assert pairs(found) == [([1, 0], 1)]


def test_a_target_in_the_batch_and_in_a_sample_finds_itself():
    for kind in ("in_batch", "sampled"):
        found = LastEvents(
            train_part(ROWS), Inputs(max_length=2, candidates=True), Candidates(kind, np.ones(6), 2)
        )
        assert [target for _, target in pairs(found)] == [2, 3, 4, 1]


def test_there_must_be_something_to_learn():
    train = train_part([("a", n, START + n) for n in (1, 2, 3)])  # one event is for training
    with pytest.raises(InputError, match="the train part has no known item with a history"):
        LastEvents(train, Inputs(max_length=1), CATALOGUE)
