"""LabelledEvents: whether a rated item was liked; events without a rating are only read as history."""

import numpy as np
import pandas as pd
import pytest

from tests.data.random_events import START, read
from torchrec_ext.batch import Inputs
from torchrec_ext.data import TableFile, as_marked, leave_last_out, read_events
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.models import Ranker
from torchrec_ext.retrieval import predict
from torchrec_ext.training import fit

WANTED = Inputs(fields=("user",), max_length=2, candidates=True)
ROWS = [
    ("a", 1, START, 5), ("a", 2, START + 1, 4), ("a", 3, START + 2, 3), ("a", 4, START + 3, 1),
    ("b", 4, START, 2), ("b", 1, START + 1, 4), ("b", 2, START + 2, 5),
]  # fmt: skip
RATED = [  # user, item, seconds, part, rating
    ("a", 1, 0, "train", 5), ("a", 2, 10, "train", 1), ("a", 3, 60, "valid", 4), ("a", 1, 80, "test", 2),
    ("b", 2, 0, "train", 4), ("b", 3, 20, "train", 2), ("b", 1, 60, "valid", 1), ("b", 2, 80, "test", 5),
]  # fmt: skip
UNRATED = [  # between, before and after the rated ones
    ("a", 3, 5, "train"), ("a", 3, 30, "train"), ("b", 1, 10, "train"), ("b", 1, 30, "train"),
    ("a", 2, 70, "valid"), ("b", 3, 90, "test"),
]  # fmt: skip

TRAIN, VALID, TEST = leave_last_out(read(ROWS))  # a trains on 1, 2 and b on 4


def partly_rated():
    rated = pd.DataFrame(RATED, columns=["user", "item", "timestamp", "split", "rating"])
    unrated = pd.DataFrame(UNRATED, columns=["user", "item", "timestamp", "split"])
    tables = [TableFile(frame.assign(timestamp=START + frame["timestamp"])) for frame in (rated, unrated)]
    return read_events(tables, columns={"split": "split"})


def histories(batch):
    found = batch.sequences.to_dict()["history"]
    return [part.tolist() for part in found.values().split(found.lengths().tolist())]


def test_examples_by_hand():
    found = LabelledEvents(TRAIN, TRAIN, WANTED)
    assert found.labels.tolist() == [[1], [1], [0]]
    batch = found.batch(np.array([1, 2, 0]), 3.0)
    assert histories(batch) == [[1], [], []]
    assert batch.sequences.to_dict()["candidates"].values().tolist() == [2, 4, 1]
    assert batch.fields.to_dict()["user"].values().tolist() == [1, 2, 1]
    assert (batch.labels.tolist(), batch.total.item()) == ([[1], [0], [1]], 3)
    assert found.weight(np.array([0, 2])) == 2 and found.sizes().tolist() == [0, 1, 0]
    # a target of another part has what is known before it
    for length, sizes in ((9, [3, 2]), (0, [0, 0]), (2, [2, 2])):
        found = LabelledEvents(TEST, TRAIN + VALID, Inputs(fields=("user",), max_length=length))
        assert found.sizes().tolist() == sizes
    assert found.labels.tolist() == [[0], [1]]
    assert histories(found.batch(np.array([0, 1]), 1.0)) == [[2, 0], [4, 1]]


def test_positives_weigh_as_much_as_their_rating():
    found = LabelledEvents(TRAIN, TRAIN, WANTED, weigh_by_rating=True)
    assert found.weights.tolist() == [[5], [4], [1]]
    assert found.batch(np.array([2, 0]), 1.0).weights.tolist() == [[1], [5]]
    assert found.weight(np.array([0, 2])) == 6
    train, _, _ = leave_last_out(read([(*row[:3], -row[3]) for row in ROWS]))
    with pytest.raises(InputError, match="a positive rating is -4, but weigh_by_rating needs them above 0"):
        LabelledEvents(train, train, WANTED, positive=-4, weigh_by_rating=True)


def test_faults_are_told():
    unrated, *_ = leave_last_out(read([row[:3] for row in ROWS]))
    with pytest.raises(InputError, match="no column 'rating'"):
        LabelledEvents(unrated, unrated, WANTED)
    for positive, reason in ((6, "below positive=6"), (1, "at least positive=1")):
        with pytest.raises(InputError, match=f"every rating of the train part is {reason}"):
            LabelledEvents(TRAIN, TRAIN, WANTED, positive=positive)
    events = partly_rated()
    kept = (events.frame["split"] != "test").to_numpy() | np.isnan(events.numbers("rating"))
    train, _, test = as_marked(events.take(kept))
    with pytest.raises(InputError, match="none of the 1 events of the test part has a rating, so there"):
        LabelledEvents(test, train, Inputs(fields=("user", "item")))


def test_the_rated_events_are_the_examples_and_the_others_history():
    events = partly_rated()
    train, valid, test = as_marked(events)
    inputs = Inputs(fields=("user", "item"), max_length=9)
    found = LabelledEvents(train, train, inputs)
    # of a: item 1 liked, then 3 unrated, then 2 disliked; of b: 2 liked, 1 unrated, 3 disliked
    assert found.items.tolist() == [1, 2, 2, 3] and found.labels[:, 0].tolist() == [1, 0, 1, 0]
    assert found.sizes().tolist() == [0, 2, 0, 2] and found.unrated == 4
    assert histories(found.batch(np.array([1]), 1.0)) == [[1, 3]] and found.weight(np.arange(4)) == 4
    assert LabelledEvents(valid, train, inputs).labels[:, 0].tolist() == [1, 0]

    model = fit(Ranker(train.schema, 8), train, valid, epochs=1, progress=False)
    report = evaluate(model, train + valid, test)
    scores = predict(model, events, pd.DataFrame({"user": ["a", "b"], "item": [1, 2]}))["score"]
    by_hand = -np.log([1 - scores[0], scores[1]]).mean()
    assert report["log_loss"] == pytest.approx(by_hand, abs=1e-6)
    assert report.protocol.endswith("labels: rating >= 4, 1 events without a rating left out")
    # of the items 1, 2, 3 each has one like of two known ratings; the mean of all is a half too
    popular = popularity(model, train + valid, test)
    assert popular["log_loss"] == pytest.approx(-np.log(0.5), abs=1e-6)
    assert "1 events without a rating left out" in popular.protocol


def test_type_weights_are_no_ratings_where_there_are_ratings():
    frame = pd.DataFrame({"user": 1, "item": range(6), "type": "purchase"})
    tables = [TableFile(frame[:3].assign(rating=[5, 1, 5])), TableFile(frame[3:])]
    train, _, _ = leave_last_out(read_events(tables))
    np.testing.assert_array_equal(train.events.ratings, [5, 1, 5, np.nan])


def test_tasks_of_other_columns_than_the_rating():
    columns = {"user": [1] * 5, "item": list("abcde"), "rating": [0, 1, 1, 0, 1]}
    watched = pd.DataFrame({**columns, "seconds": [3.0, 70.0, np.nan, 9.0, 80.0], "like": [0, 1, 1, 0, 0]})
    specs = {name: {"kind": "number"} for name in ("seconds", "like")}
    train, _, _ = leave_last_out(read_events(watched, columns=specs, labels=["seconds", "like"]))
    examples = LabelledEvents(
        train, train, WANTED, {"seconds": 10, "like": 1}, weigh_by_rating=True, one_class=True
    )
    assert examples.labels.tolist() == [[0, 0], [1, 1]] and examples.unrated == 1
    assert examples.weights.tolist() == [[1, 1], [70, 1]]
    with pytest.raises(
        InputError, match="positive names 'follow', but the labels of the data are rating, seconds, like"
    ):
        LabelledEvents(train, train, WANTED, {"follow": 1})
    with pytest.raises(InputError, match="labels names 'word', which is not a column of numbers"):
        read_events(watched.assign(word="a"), columns={"word": {"kind": "category"}}, labels=["word"])
