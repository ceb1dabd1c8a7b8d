"""Batches are what a builder makes that goes from example to example in plain Python."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.errors import InputError

LENGTH = 3
WANTED = Inputs(("context_day", "user", "context_shop"), ("context_price",), LENGTH, candidates=True)
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(1, 5), st.integers(START, START + 9), st.integers(3, 4),
        st.sampled_from("xy"), st.integers(0, 2), st.sampled_from([0.5, 1.0, 2.0]),
    ),
    min_size=4,
    max_size=40,
)  # fmt: skip


def train_part(rows):
    columns = ["user", "item", "timestamp", "rating", "day", "shop", "price"]
    events = read_events(pd.DataFrame(rows, columns=columns), context=["day", "shop", "price"])
    return leave_last_out(events)[0]


def of_row(log, event):
    """History, times, target, context and rating of one event, from lists."""
    items = log.items.tolist()
    first = max(s for s in log.offsets.tolist() if s <= event)
    start = max(first, event - LENGTH)
    user = int(log.user_rows[log.offsets.tolist().index(first)])
    times = log.times.tolist()[start:event]
    context = {name: column.tolist()[event] for name, column in log.context.items()}
    return items[start:event], times, items[event], user, context, log.ratings.tolist()[event]


def assert_batch(batch, log, events, candidates):
    rows = [of_row(log, event) for event in events]
    sequences, fields = batch.sequences.to_dict(), batch.fields.to_dict()
    expected = {
        "history": ([len(r[0]) for r in rows], [item for r in rows for item in r[0]]),
        "candidates": (sequences["candidates"].lengths().tolist(), candidates),
    }
    for key, (lengths, values) in expected.items():
        assert sequences[key].lengths().tolist() == lengths
        assert sequences[key].values().tolist() == values
    for key, values in {
        "context_day": [r[4]["context_day"] for r in rows],
        "user": [r[3] for r in rows],
        "context_shop": [r[4]["context_shop"] for r in rows],
    }.items():
        assert fields[key].values().tolist() == values
        assert fields[key].lengths().tolist() == [1] * len(rows)
    assert batch.history_times.tolist() == [time for r in rows for time in r[1]]
    assert batch.dense.tolist() == [r[4]["context_price"] for r in rows]
    for ids in (batch.sequences, batch.fields):
        assert ids.values().dtype == ids.lengths().dtype == torch.int64
    assert (batch.history_times.dtype, batch.dense.dtype) == (torch.float64, torch.float32)


def in_32_bits(log):
    narrow = {name: c.astype(np.int32) for name, c in log.context.items() if c.dtype == np.int64}
    return replace(log, items=log.items.astype(np.int32), context=log.context | narrow)


def in_a_file(log, folder):
    def mapped(column, name):
        column.tofile(folder / name)
        return np.memmap(folder / name, column.dtype, mode="r")

    log = in_32_bits(log)
    context = {name: mapped(column, name) for name, column in log.context.items()}
    columns = {name: mapped(getattr(log, name), name) for name in ("items", "times", "ratings")}
    return replace(log, **columns, context=context)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("columns")


def kept(part, how, folder):
    """The part with the columns of its events kept otherwise."""
    change = {"64 bits": lambda log: log, "32 bits": in_32_bits, "a file": lambda log: in_a_file(log, folder)}
    part = replace(part, log=change[how](part.log))
    vars(part)["events"] = change[how](part.events)
    return part


@settings(deadline=None)
@given(ROWS, st.sampled_from(["64 bits", "32 bits", "a file"]), st.integers(1, 7))
def test_last_events(folder, rows, how, size):
    try:
        train = train_part(rows)
    except InputError:
        return
    if not len(train):
        return
    candidates = Candidates("sampled", np.ones(len(train.preparation.vocabularies["item"]) - 1), 2)
    examples = LastEvents(kept(train, how, folder), WANTED, candidates)
    seen = []
    for step, batch in enumerate(Loader(examples, size).epoch(0)):
        chosen = Loader(examples, size)._order(0)[step]
        events = examples.events[chosen].tolist()
        among = batch.sequences.to_dict()["candidates"].values()
        assert_batch(batch, train.events, events, among.tolist())
        targets = [of_row(train.events, event)[2] for event in events]
        assert among[batch.labels].tolist() == targets
        assert batch.labels.dtype == torch.int64
        seen += events
    assert sorted(seen) == list(range(len(train.events)))


@settings(deadline=None)
@given(ROWS, st.sampled_from(["64 bits", "32 bits", "a file"]), st.integers(1, 7))
def test_labelled_events(folder, rows, how, size):
    try:
        train = train_part(rows)
        examples = LabelledEvents(kept(train, how, folder), kept(train, how, folder), WANTED)
    except InputError:
        return
    seen = []
    for step, batch in enumerate(Loader(examples, size).epoch(0)):
        events = Loader(examples, size)._order(0)[step].tolist()
        rows_of = [of_row(train.events, event) for event in events]
        assert_batch(batch, train.events, events, [r[2] for r in rows_of])
        assert batch.labels.tolist() == [[float(r[5] >= 4)] for r in rows_of]
        assert batch.total.item() == len(events)
        seen += events
    assert sorted(seen) == list(range(len(train.events)))


def test_by_hand():
    """The user a has the items 1 to 5 with rows 1 to 5 and keeps 1 to 3 for training; b has 5, 1, 2."""
    rows = [("a", n, START + n, 3 + n % 2, "x", 0, 1.0) for n in range(1, 6)]
    rows += [("b", item, START + n, 3, "y", 1, 3.0) for n, item in enumerate((5, 1, 2))]
    train = train_part(rows)
    batch = LabelledEvents(train, train, WANTED).batch(np.array([2, 3, 1]), 3.0)
    history, candidates = (batch.sequences.to_dict()[key] for key in ("history", "candidates"))
    assert history.values().tolist() == [1, 2, 1] and history.lengths().tolist() == [2, 0, 1]
    assert candidates.values().tolist() == [3, 5, 2] and candidates.lengths().tolist() == [1, 1, 1]
    assert (batch.history_times - START).tolist() == [1, 2, 1]
    assert batch.fields.keys() == ["context_day", "user", "context_shop"]
    assert batch.fields.values().tolist() == [1, 2, 1, 1, 2, 1, 1, 2, 1]
    deviation = np.sqrt(3) / 2  # of the prices 1, 1, 1, 3, whose mean is 1.5
    torch.testing.assert_close(
        batch.dense[:, 0].double(), torch.tensor([-0.5, 1.5, -0.5]).double() / deviation
    )
    assert batch.labels.tolist() == [[1], [0], [0]]
