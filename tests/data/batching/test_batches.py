"""Batcher: what a model wants, laid out as slices of flat columns."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.batch import Inputs
from torchrec_ext.data import EventLog, Preparation, read_events
from torchrec_ext.data.batching.batches import Batcher

LATE = 10**9
A, B = 0, 1  # users of the log
TAGS = [["x"], ["x", "y"], [], ["z", "x", "y"]]


@pytest.fixture(scope="module")
def prepared():
    """The log is a: 10, 20, 30 at times 0 to 2; b: 40. Items 10 to 40 have the rows 1 to 4."""
    frame = pd.DataFrame({
        "user": list("aaab"), "item": [10, 20, 30, 40], "timestamp": LATE + np.array([0, 1, 2, 50]),
        "day": ["Mon", "Tue", "Mon", "Sun"], "price": [1.0, 2.0, 3.0, 2.0],
    })  # fmt: skip
    users = pd.DataFrame({"user": ["b"], "gender": ["f"], "age": [30.0]})
    items = pd.DataFrame({"item": [10, 20, 30, 40], "tags": TAGS, "weight": [1.0, 2.0, 3.0, np.nan]})
    events = read_events(frame, users=users, items=items, context=["day", "price"])
    preparation = Preparation.fit(events, np.ones(4, bool))
    return preparation, preparation.log(events)


def batcher(prepared, **inputs):
    return Batcher(*prepared, Inputs(**inputs))


def jagged(tensor, key):
    found = tensor.to_dict()[key]
    return [part.tolist() for part in found.values().split(found.lengths().tolist())]


def test_histories_are_slices_oldest_first(prepared):
    batch = batcher(prepared, max_length=2).queries(np.array([A, B, A, B]), np.array([3, 4, 1, 3]))
    assert jagged(batch.sequences, "history") == [[2, 3], [4], [1], []]
    assert (batch.history_times - LATE).tolist() == [1, 2, 50, 0]


def test_what_is_not_wanted_is_absent_and_context_that_is_not_given_is_unknown(prepared):
    users, ends = np.array([A, B]), np.array([3, 4])
    batch = batcher(prepared, fields=("user",)).queries(users, ends)
    assert jagged(batch.fields, "user") == [[1], [2]] and batch.dense.shape == (2, 0)
    assert batch.sequences.keys() == []
    assert batch.history_times is batch.labels is batch.log_q is batch.total is None
    batch = batcher(prepared, fields=("context_day",), dense=("context_price",)).queries(users, ends)
    assert jagged(batch.fields, "context_day") == batch.dense.tolist() == [[0], [0]]


def test_pairs_have_fields_and_numbers_and_one_candidate_each(prepared):
    fields = ("item_tags", "user", "user_gender", "item", "context_day")
    dense = ("context_price", "user_age", "item_weight")
    found = batcher(prepared, fields=fields, dense=dense, max_length=2, candidates=True).pairs(
        np.array([B, A, B]), np.array([4, 3, 3]), np.array([4, 2, 0]),
        {"context_day": np.array([3, 0, 1]), "context_price": np.array([0.5, -0.5, 0], np.float32)},
        labels=np.array([[1], [0], [1]], np.float32), total=2**24 + 1,
    )  # fmt: skip
    assert tuple(found.fields.keys()) == fields
    assert [jagged(found.fields, name) for name in fields] == [
        [[3, 1, 2], [1, 2], [0]], [[2], [1], [2]],
        [[1], [0], [1]],  # a is in no side table
        [[4], [2], [0]], [[3], [0], [1]],
    ]  # fmt: skip
    assert found.dense.tolist() == [[0.5, 0, 0], [-0.5, 0, 0], [0, 0, 0]]  # the weights' mean is 2
    assert found.dense.dtype == torch.float32
    assert jagged(found.sequences, "candidates") == [[4], [2], [0]]
    assert jagged(found.sequences, "history") == [[4], [2, 3], []]
    assert found.labels.tolist() == [[1], [0], [1]]
    assert found.total.item() == 2**24 + 1  # which float32 does not have


@pytest.mark.parametrize("known", ["log", "no event", "no user"])
@pytest.mark.parametrize("rows", [[2, 4, 1], []])
def test_items_to_encode_stand_in_one_empty_example(prepared, known, rows):
    preparation, log = prepared
    none = np.zeros(0, np.int64)
    empty = log.select(none)
    no_user = EventLog(pd.Index([]), none, np.zeros(1, np.int64), empty.items, empty.source_rows)
    inputs = Inputs(("user", "user_gender"), ("user_age",), max_length=3, candidates=True)
    log = {"log": log, "no event": empty, "no user": no_user}[known]
    found = Batcher(preparation, log, inputs).items(np.array(rows, np.int64))
    assert jagged(found.sequences, "candidates") == [rows]
    assert jagged(found.sequences, "history") == [[]]
    assert found.dense.shape == (1, 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 7))
def test_candidates_spread_over_the_slots_in_order_with_their_own_side_features(prepared, rows, slots):
    tags = [
        [0],
        [1],
        [1, 2],
        [0],
        [3, 1, 2],
    ]  # of the unknown item and of item 3 it is the unknown one
    weights = np.array([0, -1, 0, 1, 0]) / np.sqrt(2 / 3)
    wanted = {"candidate_fields": ("item_tags",), "candidate_dense": ("item_weight",)}
    none = np.zeros(slots, np.int64)
    found = batcher(prepared, candidates=True, **wanted).batch(
        none, none, none, candidates=np.array(rows, np.int64)
    )
    assert found.sequences.keys() == ["candidates", "candidates_item_tags"]
    by_slot = jagged(found.sequences, "candidates")
    assert [row for slot in by_slot for row in slot] == rows
    assert len(by_slot) == slots and max(map(len, by_slot)) - min(map(len, by_slot)) <= 1
    assert found.candidate_lengths["item_tags"].tolist() == [len(tags[row]) for row in rows]
    expected = [[tag for row in slot for tag in tags[row]] for slot in by_slot]
    assert jagged(found.sequences, "candidates_item_tags") == expected
    np.testing.assert_allclose(found.candidate_dense[:, 0], weights[np.array(rows, np.int64)], rtol=1e-6)
