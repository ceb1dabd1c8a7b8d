"""Batches are what a builder makes that goes from example to example in plain Python."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.batching.last_events import LastEvents
from torchrec_ext.data.batching.loader import Loader
from torchrec_ext.errors import InputError

LENGTH, WORDS = 3, ("red", "blue", "big")
FIELDS = ("context_day", "user", "context_words")
HISTORY = ("context_day", "item_kind", "context_words", "item_tags")
ITEMS = pd.DataFrame({
    "item": [1, 2, 3, 4],
    "kind": ["x", "y", "x", None],
    "tags": [["new"], ["old", "big"], [], ["big", "new", "red"]],
}).set_index("item")  # fmt: skip
"""Nothing is known of item 5."""
WANTED = Inputs(FIELDS, ("context_price",), LENGTH, history_fields=HISTORY, candidates=True)
COLUMNS = ["user", "item", "timestamp", "rating", "day", "words", "price"]
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.integers(1, 5), st.integers(START, START + 9), st.integers(3, 4),
        st.sampled_from("xy"), st.lists(st.sampled_from(WORDS), max_size=3), st.sampled_from([0.5, 1.0, 2.0]),
    ),
    min_size=4,
    max_size=40,
)  # fmt: skip
# three events of one user, so that there is a test part
ALWAYS = [("z", 1, START + n, 3 + n % 2, "x", list(WORDS), 1.0) for n in range(3)]


def train_part(rows, folder=None):
    columns = {"words": {"column": "words", "kind": "categories"}}
    frame = pd.DataFrame([*rows, *ALWAYS], columns=COLUMNS)
    events = read_events(frame, columns=columns, context=["day", "words", "price"], items=ITEMS.reset_index())
    return leave_last_out(events, folder=folder)[0], frame


def of_row(train, frame, event):
    """What a batch has of one event: its user and row of the table, and those of the history before it."""
    log = train.events
    user = int(log.users[event])
    start = max(int(log.offsets[user]), event - LENGTH)
    rows = frame.iloc[log.source_rows[start : event + 1]].to_dict("records")
    return log.user_rows[user], rows[-1], rows[:-1]


def rows_of(train, name, values):
    return train.preparation.vocabularies[name].rows(pd.Series(values, dtype=object)).tolist()


def assert_batch(batch, train, frame, events, candidates):
    users, rows, histories = zip(*(of_row(train, frame, event) for event in events), strict=True)
    past = [row for history in histories for row in history]
    ones, lengths = [1] * len(rows), [len(history) for history in histories]

    def days(of):
        return rows_of(train, "context_day", [row["day"] for row in of])

    def words(of):
        return rows_of(train, "context_words", [word for row in of for word in row["words"]])

    def kinds(of):
        return rows_of(train, "item_kind", [ITEMS["kind"].get(row["item"]) for row in of])

    def tags(row):
        return rows_of(train, "item_tags", ITEMS["tags"].get(row["item"], []) or [None])

    expected = {
        "user": (list(users), ones), "context_day": (days(rows), ones),
        "context_words": (words(rows), [len(row["words"]) for row in rows]),
        "history": (rows_of(train, "item", [row["item"] for row in past]), lengths),
        "history_context_day": (days(past), lengths),
        "history_item_kind": (kinds(past), lengths),
        "history_item_tags": (
            [tag for row in past for tag in tags(row)],
            [sum(len(tags(r)) for r in own) for own in histories],
        ),
        "history_context_words": (words(past), [sum(len(r["words"]) for r in own) for own in histories]),
    }  # fmt: skip
    found = {**batch.fields.to_dict(), **batch.sequences.to_dict()}
    assert found.pop("candidates").values().tolist() == candidates
    assert {n: (ids.values().tolist(), ids.lengths().tolist()) for n, ids in found.items()} == expected
    assert batch.history_lengths.keys() == {"context_words", "item_tags"}
    assert batch.history_lengths["item_tags"].tolist() == [len(tags(row)) for row in past]
    if batch.labels.dim() == 2:
        assert batch.history_matches.tolist() == [
            bool({*tags(old)} & {*tags(row)} - {0})
            for row, own in zip(rows, histories, strict=True)
            for old in own
        ]
    assert batch.history_lengths["context_words"].tolist() == [len(row["words"]) for row in past]
    assert batch.history_times.tolist() == [row["timestamp"] for row in past]
    scale = train.preparation.fitted["context_price"].scale
    price = (np.array([r["price"] for r in rows]) - scale.center) / scale.spread
    torch.testing.assert_close(batch.dense[:, 0].double().numpy(), price, rtol=1e-5, atol=1e-6)
    for ids in (batch.sequences, batch.fields):
        assert ids.values().dtype == ids.lengths().dtype == torch.int64
    assert (batch.history_times.dtype, batch.dense.dtype) == (torch.float64, torch.float32)


@settings(deadline=None)
@given(ROWS, st.booleans(), st.booleans(), st.integers(1, 7))
def test_an_epoch_has_each_example_once_as_a_plain_builder_makes_it(rows, rated, mapped, size):
    with tempfile.TemporaryDirectory() as folder:
        train, frame = train_part(rows, Path(folder) if mapped else None)
        try:
            sampled = Candidates("sampled", np.ones(len(train.preparation.vocabularies["item"]) - 1), 2)
            searching = replace(WANTED, match="item_tags")
            examples = (
                LabelledEvents(train, train, searching) if rated else LastEvents(train, WANTED, sampled)
            )
        except InputError:  # all ratings are alike
            return
        loader, seen = Loader(examples, size), []
        for chosen, batch in zip(loader._order(0), loader.epoch(0), strict=False):
            events = examples.events[chosen].tolist()
            targets = train.events.items[events].tolist()
            among = batch.sequences.to_dict()["candidates"].values()
            assert_batch(batch, train, frame, events, targets if rated else among.tolist())
            if rated:
                assert batch.labels.tolist() == [[float(r >= 4)] for r in train.events.ratings[events]]
            else:
                assert among[batch.labels].tolist() == targets
            assert batch.total.item() == len(events)
            seen += events
        assert sorted(seen) == list(range(len(train.events)))
