"""Batcher: what a model wants, laid out as slices of flat columns."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchrec.streamable import Pipelineable

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.sources.read import read_events

LATE = 10**9


@pytest.fixture(scope="module")
def prepared():
    """The log is a: 10, 20, 30 at times 0 to 2; b: 40. Items 10 to 40 have the rows 1 to 4."""
    frame = pd.DataFrame({
        "user": ["a", "a", "a", "b"],
        "item": [10, 20, 30, 40],
        "timestamp": [LATE, LATE + 1, LATE + 2, LATE + 50],
        "day": ["Mon", "Tue", "Mon", "Sun"],
        "price": [1.0, 2.0, 3.0, 2.0],
    })  # fmt: skip
    users = pd.DataFrame({"user": ["b"], "gender": ["f"], "age": [30.0]})
    items = pd.DataFrame({
        "item": [10, 20, 30, 40],
        "tags": [["x"], ["x", "y"], [], ["z", "x", "y"]],
        "weight": [1.0, 2.0, 3.0, np.nan],
    })  # fmt: skip
    events = read_events(frame, users=users, items=items, context=["day", "price"])
    preparation = Preparation.fit(events, np.ones(4, bool))
    return preparation, preparation.log(events)


def batcher(prepared, **inputs):
    return Batcher(*prepared, Inputs(**inputs))


def jagged(tensor, key):
    found = tensor.to_dict()[key]
    return [part.tolist() for part in found.values().split(found.lengths().tolist())]


A, B = 0, 1  # users of the log


def test_histories_are_slices_oldest_first(prepared):
    batch = batcher(prepared, max_length=2).queries(np.array([A, B, A, B]), np.array([3, 4, 1, 3]))
    assert jagged(batch.sequences, "history") == [[2, 3], [4], [1], []]
    assert (batch.history_times - LATE).tolist() == [1, 2, 50, 0]


def test_a_model_without_history_gets_none(prepared):
    batch = batcher(prepared, fields=("user",)).queries(np.array([A, B]), np.array([3, 4]))
    assert batch.sequences.keys() == []
    assert batch.history_times is None
    assert jagged(batch.fields, "user") == [[1], [2]]
    assert batch.dense.shape == (2, 0)
    assert (batch.labels, batch.log_q, batch.total) == (None, None, None)


def test_fields_and_numbers_of_pairs(prepared):
    found = batcher(
        prepared,
        fields=("item_tags", "user", "user_gender", "item", "context_day"),
        dense=("context_price", "user_age", "item_weight"),
    ).pairs(
        np.array([B, A, B]),
        np.array([4, 3, 4]),
        np.array([4, 2, 0]),
        {"context_day": np.array([3, 0, 1]), "context_price": np.array([0.5, -0.5, 0], np.float32)},
        labels=np.array([[1], [0], [1]], np.float32),
        total=2**24 + 1,
    )
    assert found.fields.keys() == ["item_tags", "user", "user_gender", "item", "context_day"]
    assert jagged(found.fields, "item_tags") == [[3, 1, 2], [1, 2], [0]]
    assert jagged(found.fields, "user") == [[2], [1], [2]]
    assert jagged(found.fields, "user_gender") == [[1], [0], [1]]  # a is in no side table
    assert jagged(found.fields, "item") == [[4], [2], [0]]
    assert jagged(found.fields, "context_day") == [[3], [0], [1]]
    assert found.dense.tolist() == [[0.5, 0, 0], [-0.5, 0, 0], [0, 0, 0]]  # the weights' mean is 2
    assert found.dense.dtype == torch.float32
    assert found.labels.tolist() == [[1], [0], [1]]
    assert found.total.item() == 2**24 + 1  # which float32 does not have


def test_context_that_is_not_given_is_unknown(prepared):
    found = batcher(prepared, fields=("context_day",), dense=("context_price",)).queries(
        np.array([A, B]), np.array([3, 4])
    )
    assert jagged(found.fields, "context_day") == [[0], [0]]
    assert found.dense.tolist() == [[0], [0]]


def test_candidates_and_their_side_features_spread_over_the_slots(prepared):
    wanted = {"max_length": 1, "candidate_fields": ("item_tags",), "candidate_dense": ("item_weight",)}
    found = batcher(prepared, candidates=True, **wanted).batch(
        np.array([A, B]), np.array([0, 3]), np.array([1, 4]),
        candidates=np.array([1, 2, 3, 4, 0]), labels=np.array([1, -1]),
    )  # fmt: skip
    assert found.sequences.keys() == ["history", "candidates", "candidates_item_tags"]
    assert jagged(found.sequences, "candidates") == [[1, 2], [3, 4, 0]]
    # item 3 has no tags and row 0 stands for no item: the unknown tag
    assert jagged(found.sequences, "candidates_item_tags") == [[1, 1, 2], [0, 3, 1, 2, 0]]
    assert found.candidate_lengths["item_tags"].tolist() == [1, 2, 1, 3, 1]
    deviation = np.sqrt(2 / 3)
    expected = np.array([[-1 / deviation], [0], [1 / deviation], [0], [0]], np.float32)
    torch.testing.assert_close(found.candidate_dense, torch.from_numpy(expected))
    assert found.labels.tolist() == [1, -1]


def test_pairs_of_a_model_with_candidates_have_one_candidate_each(prepared):
    found = batcher(prepared, max_length=2, candidates=True).pairs(
        np.array([A, A, B]), np.array([3, 3, 3]), np.array([4, 1, 2])
    )
    assert jagged(found.sequences, "candidates") == [[4], [1], [2]]
    assert jagged(found.sequences, "history") == [[2, 3], [2, 3], []]


@pytest.mark.parametrize("known", ["log", "no event", "no user"])
@pytest.mark.parametrize("rows", [[2, 4, 1], []])
def test_items_to_encode_stand_in_one_empty_example(prepared, known, rows):
    preparation, log = prepared
    none = np.zeros(0, np.int64)
    empty = log.select(none)
    nobody = type(log)(pd.Index([]), none, np.zeros(1, np.int64), empty.items, empty.source_rows)
    inputs = Inputs(("user", "user_gender"), ("user_age",), max_length=3, candidates=True)
    log = {"log": log, "no event": empty, "no user": nobody}[known]
    found = Batcher(preparation, log, inputs).items(np.array(rows, np.int64))
    assert jagged(found.sequences, "candidates") == [rows]
    assert jagged(found.sequences, "history") == [[]]
    assert found.dense.shape == (1, 1)


@settings(deadline=None)
@given(st.lists(st.integers(0, 4), max_size=12), st.integers(1, 7))
def test_candidates_come_back_in_order_with_their_own_side_features(prepared, rows, slots):
    tags = [[0], [1], [1, 2], [0], [3, 1, 2]]
    none = np.zeros(slots, np.int64)
    found = batcher(prepared, candidates=True, candidate_fields=("item_tags",)).batch(
        none, none, none, candidates=np.array(rows, np.int64)
    )
    by_slot = jagged(found.sequences, "candidates")
    assert [row for slot in by_slot for row in slot] == rows
    assert len(by_slot) == slots and max(map(len, by_slot)) - min(map(len, by_slot)) <= 1
    assert found.candidate_lengths["item_tags"].tolist() == [len(tags[row]) for row in rows]
    expected = [[tag for row in slot for tag in tags[row]] for slot in by_slot]
    assert jagged(found.sequences, "candidates_item_tags") == expected


def test_torchrec_accepts_a_batch(prepared):
    batch = batcher(prepared, max_length=2, candidates=True, candidate_fields=("item_tags",)).batch(
        np.array([A]), np.array([0]), np.array([3]), candidates=np.array([1]), total=1.0
    )
    assert isinstance(batch, Pipelineable)
    moved = batch.to(device=torch.device("cpu"), non_blocking=True)
    assert isinstance(moved, Batch)
    assert jagged(moved.sequences, "history") == [[1, 2, 3]]
    assert moved.candidate_lengths["item_tags"].tolist() == [1]
