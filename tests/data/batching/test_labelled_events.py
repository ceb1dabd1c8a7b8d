"""LabelledEvents: whether a rated item was liked, with what was known before."""

import numpy as np
import pytest

from tests.data.random_events import START, read
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.errors import InputError

WANTED = Inputs(fields=("user",), max_length=2, candidates=True)
ROWS = [
    ("a", 1, START, 5),
    ("a", 2, START + 1, 4),
    ("a", 3, START + 2, 3),
    ("a", 4, START + 3, 1),
    ("b", 4, START, 2),
    ("b", 1, START + 1, 4),
    ("b", 2, START + 2, 5),
]


def parts(rows):
    return leave_last_out(read(rows))


def batch_of(found, chosen, total=1.0):
    return found.batch(np.array(chosen), total)


def test_training_by_hand():
    train, _, _ = parts(ROWS)  # a: 1, 2 and b: 4
    found = LabelledEvents(train, train, WANTED)
    assert found.labels.tolist() == [[1], [1], [0]]
    batch = batch_of(found, [1, 2, 0], total=3.0)
    history = batch.sequences.to_dict()["history"]
    assert [h.tolist() for h in history.values().split(history.lengths().tolist())] == [[1], [], []]
    assert batch.sequences.to_dict()["candidates"].values().tolist() == [2, 4, 1]
    assert batch.fields.to_dict()["user"].values().tolist() == [1, 2, 1]
    assert batch.labels.tolist() == [[1], [0], [1]]
    assert batch.total.item() == 3
    assert found.weight(np.array([0, 2])) == 2
    assert found.sizes().tolist() == [0, 1, 0]


def test_a_target_of_another_part_has_what_is_known_before_it():
    train, valid, test = parts(ROWS)
    found = LabelledEvents(test, train + valid, WANTED)
    assert found.labels.tolist() == [[0], [1]]
    history = batch_of(found, [0, 1]).sequences.to_dict()["history"]
    assert [h.tolist() for h in history.values().split(history.lengths().tolist())] == [[2, 0], [4, 1]]


def test_a_size_is_what_is_read_of_the_history():
    train, valid, test = parts(ROWS)
    for length, sizes in ((2, [2, 2]), (9, [3, 2]), (0, [0, 0])):
        inputs = Inputs(fields=("user",), max_length=length)
        assert LabelledEvents(test, train + valid, inputs).sizes().tolist() == sizes


def test_thresholds_make_tasks():
    train, _, _ = parts(ROWS)
    ratings = train.events.ratings
    found = LabelledEvents(train, train, WANTED, positive=(4, 4.5))
    assert np.array_equal(found.labels, np.stack([ratings >= 4, ratings >= 4.5], 1))
    assert batch_of(found, [1, 2]).labels.shape == (2, 2)


def test_positives_weigh_as_much_as_their_rating():
    train, _, _ = parts(ROWS)
    found = LabelledEvents(train, train, WANTED, weigh_by_rating=True)
    wanted = np.where(found.labels > 0, train.events.ratings[:, None], 1)
    assert np.array_equal(found.weights, wanted)
    assert np.array_equal(batch_of(found, [2, 0]).weights, wanted[[2, 0]])
    assert found.weight(np.array([0, 2])) == wanted[[0, 2]].sum()
    train.events.ratings[:] = [-1, 0, -2]
    with pytest.raises(InputError, match="a positive rating is -1, but weigh_by_rating needs them above 0"):
        LabelledEvents(train, train, WANTED, positive=-1, weigh_by_rating=True)


def test_faults_are_told():
    train, _, _ = parts([row[:3] for row in ROWS])
    with pytest.raises(InputError, match="no column 'rating'"):
        LabelledEvents(train, train, WANTED)
    train, _, _ = parts(ROWS)
    for positive, reason in ((6, "below positive=6"), (1, "at least positive=1")):
        with pytest.raises(InputError, match=f"every rating of the train part is {reason}"):
            LabelledEvents(train, train, WANTED, positive=positive)
