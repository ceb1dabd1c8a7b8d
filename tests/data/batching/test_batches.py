"""Batches: what a model wants, laid out as slices, and which items compete."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.batch import Inputs
from torchrec_ext.data import EventLog, Preparation, read_events
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.errors import InputError

LATE = 10**9
A, B = 0, 1  # users of the log


def prepare():
    """The log is a: 10, 20, 30 at times 0 to 2; b: 40. Items 10 to 40 have the rows 1 to 4."""
    frame = pd.DataFrame({
        "user": list("aaab"), "item": [10, 20, 30, 40], "timestamp": LATE + np.array([0, 1, 2, 50]),
        "day": ["Mon", "Tue", "Mon", "Sun"], "price": [1.0, 2.0, 3.0, 2.0],
    })  # fmt: skip
    users = pd.DataFrame({"user": ["b"], "gender": ["f"], "age": [30.0]})
    tags = [["x"], ["x", "y"], [], ["z", "x", "y"]]
    items = pd.DataFrame({"item": [10, 20, 30, 40], "tags": tags, "weight": [1.0, 2.0, 3.0, np.nan]})
    events = read_events(frame, users=users, items=items, context=["day", "price"])
    preparation = Preparation.fit(events, np.ones(4, bool))
    return preparation, preparation.log(events)


PREPARATION, LOG = prepare()


def batcher(log=LOG, **inputs):
    return Batcher(PREPARATION, log, Inputs(**inputs))


def jagged(tensor, key):
    found = tensor.to_dict()[key]
    return [part.tolist() for part in found.values().split(found.lengths().tolist())]


def test_what_is_not_wanted_is_absent():
    batch = batcher(fields=("user",)).queries(np.array([A, B]), np.array([3, 4]))
    assert jagged(batch.fields, "user") == [[1], [2]] and batch.dense.shape == (2, 0)
    assert batch.sequences.keys() == []
    assert batch.history_times is batch.labels is batch.log_q is batch.total is None


def test_pairs_have_fields_and_numbers_and_one_candidate_each():
    fields = {
        "item_tags": [[3, 1, 2], [1, 2], [0]], "user": [[2], [1], [2]],
        "user_gender": [[1], [0], [1]],  # a is in no side table
        "item": [[4], [2], [0]], "context_day": [[3], [0], [1]],
    }  # fmt: skip
    dense = ("context_price", "user_age", "item_weight")
    found = batcher(fields=(*fields,), dense=dense, max_length=2, candidates=True).pairs(
        np.array([B, A, B]), np.array([4, 3, 3]), np.array([4, 2, 0]),
        {"context_day": np.array([3, 0, 1]), "context_price": np.array([0.5, -0.5, 0], np.float32)},
        labels=np.array([[1], [0], [1]], np.float32), total=2**24 + 1,
    )  # fmt: skip
    assert [*found.fields.keys()] == [*fields]
    assert {name: jagged(found.fields, name) for name in fields} == fields
    assert found.dense.tolist() == [[0.5, 0, 0], [-0.5, 0, 0], [0, 0, 0]]  # the weights' mean is 2
    assert found.dense.dtype == torch.float32
    assert jagged(found.sequences, "candidates") == [[4], [2], [0]]
    assert jagged(found.sequences, "history") == [[4], [2, 3], []]  # slices, oldest first
    assert (found.history_times - LATE).tolist() == [50, 1, 2]
    assert found.labels.tolist() == [[1], [0], [1]]
    assert found.total.item() == 2**24 + 1  # which float32 does not have


NONE = np.zeros(0, np.int64)
EMPTY = LOG.select(NONE)
NO_USER = EventLog(pd.Index([]), NONE, np.zeros(1, np.int64), EMPTY.items, EMPTY.source_rows)


@pytest.mark.parametrize("log", [LOG, EMPTY, NO_USER])
@pytest.mark.parametrize("rows", [[2, 4, 1], []])
def test_items_to_encode_stand_in_one_empty_example(log, rows):
    wanted = {"fields": ("user", "user_gender"), "dense": ("user_age",), "max_length": 3, "candidates": True}
    found = batcher(log, **wanted).items(np.array(rows, np.int64))
    assert jagged(found.sequences, "candidates") == [rows]
    assert jagged(found.sequences, "history") == [[]] and found.dense.shape == (1, 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 7))
def test_candidates_spread_over_the_slots_in_order_with_their_own_side_features(rows, slots):
    tags = [[0], [1], [1, 2], [0], [3, 1, 2]]  # of the unknown item and of item 3 it is the unknown one
    weights = np.array([0, -1, 0, 1, 0]) / np.sqrt(2 / 3)
    wanted = {"candidate_fields": ("item_tags",), "candidate_dense": ("item_weight",)}
    none, chosen = np.zeros(slots, np.int64), np.array(rows, np.int64)
    found = batcher(candidates=True, **wanted).batch(none, none, none, candidates=chosen)
    assert found.sequences.keys() == ["candidates", "candidates_item_tags"]
    by_slot = jagged(found.sequences, "candidates")
    assert [row for slot in by_slot for row in slot] == rows
    assert len(by_slot) == slots and max(map(len, by_slot)) - min(map(len, by_slot)) <= 1
    assert found.candidate_lengths["item_tags"].tolist() == [len(tags[row]) for row in rows]
    expected = [[tag for row in slot for tag in tags[row]] for slot in by_slot]
    assert jagged(found.sequences, "candidates_item_tags") == expected
    np.testing.assert_allclose(found.candidate_dense[:, 0], weights[chosen], rtol=1e-6)


def test_candidates_by_hand():
    rng, counts = np.random.default_rng(0), np.array([6, 3, 1, 0])
    rows, log_q = Candidates("in_batch", counts).draw(np.array([2, 0, 1, 2]), rng)
    assert (rows.tolist(), log_q.dtype) == ([1, 2], np.float32)
    # three known targets, each of which misses item 1 with probability .4 and item 2 with .7
    np.testing.assert_allclose(np.exp(log_q), [1 - 0.4**3, 1 - 0.7**3], rtol=1e-6)
    only = Candidates("in_batch", np.array([9])).draw(np.array([1, 1]), rng)
    assert [found.tolist() for found in only] == [[1], [0]]
    rows, log_q = Candidates("sampled", counts, number=5).draw(np.array([4]), rng)
    popularity = np.array([0.6, 0.3, 0.1, 0.0])[rows - 1]
    np.testing.assert_allclose(np.exp(log_q), 1 - (1 - popularity) * 0.75**5, rtol=1e-6)


def test_of_many_targets_some_compete_and_the_others_are_their_own_candidates():
    counts, targets = np.array([6, 3, 1, 0]), np.array([1, 0, 2, 1, 3])
    seen = set()
    for seed in range(9):
        found = Candidates("in_batch", counts, in_batch=2).compete(targets, np.random.default_rng(seed))
        rows, labels, log_q = found["candidates"], found["labels"], found["log_q"]
        shared = rows[: len(log_q)]
        assert sorted(rows) == [1, 2, 3] and (rows[labels] == targets)[targets > 0].all() and labels[1] == -1
        # two of the four known targets, each of which misses item 1 with probability .4
        popularity = np.array([0.6, 0.3, 0.1])[shared - 1]
        np.testing.assert_allclose(np.exp(log_q), 1 - (1 - popularity) ** 2, rtol=1e-6)
        seen.add(tuple(shared))
    assert len(seen) > 2
    mixed = Candidates("sampled", counts, 5, in_batch=2).compete(targets, np.random.default_rng(0))
    shared = mixed["candidates"][: len(mixed["log_q"])]
    popularity = np.array([0.6, 0.3, 0.1, 0.0])[shared - 1]
    np.testing.assert_allclose(np.exp(mixed["log_q"]), 1 - (1 - popularity) ** 2 * 0.75**5, rtol=1e-6)


@pytest.mark.parametrize(("kind", "number"), [("in_batch", 1), ("sampled", 8), ("sampled", 40)])
def test_log_q_is_how_often_an_item_is_among_the_candidates(kind, number):
    counts = np.array([400, 200, 100, 50, 25, 12, 6, 3, 2, 1])
    candidates = Candidates(kind, counts, number=number)
    rng = np.random.default_rng(0)
    rounds, drawn, log_probability = 4000, np.zeros(10), np.zeros(10)
    for _ in range(rounds):
        rows, log_q = candidates.draw(rng.choice(10, size=16, p=counts / counts.sum()) + 1, rng)
        drawn[rows - 1] += 1
        log_probability[rows - 1] = log_q
    # within four standard deviations of the mean of so many rounds
    expected = np.exp(log_probability[drawn > 0])
    error = np.sqrt(expected * (1 - expected) / rounds)
    assert (np.abs(drawn[drawn > 0] / rounds - expected) <= 4 * error + 1e-6).all()
    assert (drawn > 0).sum() > 7


@pytest.mark.parametrize("kind", ["catalogue", "in_batch", "sampled"])
@settings(deadline=None)
@given(st.lists(st.integers(0, 6)), st.integers(1, 9), st.sampled_from([1, 0, 9]), st.integers(0, 5))
def test_every_known_target_finds_itself_and_log_q_is_finite(kind, targets, number, first, seed):
    targets = np.array(targets, np.int64)
    candidates = Candidates(kind, np.array([first, 0, 1, 1, 1, 1]), number)
    found = candidates.compete(targets, np.random.default_rng(seed))
    rows, labels, log_q = found["candidates"], found["labels"], found["log_q"]
    assert len(rows) >= 1 and (np.diff(rows) > 0).all()
    assert (labels[targets == 0] == -1).all()
    assert (rows[labels[targets > 0]] == targets[targets > 0]).all()
    if kind == "catalogue":
        assert log_q is None and rows.tolist() == [1, 2, 3, 4, 5, 6]
    else:
        assert log_q.shape == rows.shape and np.isfinite(log_q).all()


def test_a_target_that_is_not_in_the_catalogue_has_no_label():
    for catalogue in ([2, 4], [2, 3, 4]):
        candidates = Candidates("catalogue", np.ones(9), catalogue_C=np.array(catalogue))
        labels = candidates.compete(np.array([9, 2, 0, 4, 1]), np.random.default_rng(0))["labels"]
        assert labels.tolist() == [-1, 0, -1, len(catalogue) - 1, -1]


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="'catalogue' or 'sampled' or 'in_batch', received 'all'"):
        Candidates("all", np.ones(3))
    with pytest.raises(InputError, match="number should be at least 1, received 0"):
        Candidates("sampled", np.ones(3), number=0)
    with pytest.raises(InputError, match="in_batch should be at least 1, received 0"):
        Candidates("sampled", np.ones(3), in_batch=0)
