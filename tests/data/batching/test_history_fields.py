"""Features of a history's events are what a builder makes that goes from event to event in plain Python."""

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START
from torchrec_ext.batch import Inputs
from torchrec_ext.data import leave_last_out, read_events
from torchrec_ext.data.batching.batches import Batcher

LENGTH = 3
WORDS = ("red", "blue", "big")
ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(1, 5),
        st.integers(START, START + 9),
        st.sampled_from(["view", "purchase", "search"]),
        st.lists(st.sampled_from(WORDS), max_size=3),
    ),
    min_size=4,
    max_size=40,
)
# three events of one user, so that there is a test part, and each word and type stands in training
ALWAYS = [("z", 1, START + n, kind, list(WORDS)) for n, kind in enumerate(("view", "purchase", "search"))] * 2


@settings(deadline=None)
@given(ROWS, st.data())
def test_batches_are_those_of_a_plain_builder(rows, data):
    frame = pd.DataFrame([*rows, *ALWAYS], columns=["user", "item", "timestamp", "type", "words"])
    told = {"words": {"column": "words", "kind": "categories"}}
    train, valid, test = leave_last_out(read_events(frame, columns=told, context=["type", "words"]))
    prepared = train.preparation
    log, ends = (train + valid).known_before(test)
    chosen = np.array(data.draw(st.lists(st.integers(0, len(ends) - 1), min_size=1, max_size=5)))
    users = test.events.users[chosen]
    inputs = Inputs(max_length=LENGTH, history_fields=("context_type", "context_words"))
    batch = Batcher(prepared, log, inputs).queries(users, ends[chosen])

    of_types, of_words = (prepared.vocabularies[f"context_{name}"] for name in ("type", "words"))
    row_of = {kind: int(of_types.rows(pd.Series([kind]))[0]) for kind in ("view", "purchase", "search")}
    row_of |= {word: int(of_words.rows(pd.Series([word]))[0]) for word in WORDS}
    types: list[int] = []
    words: list[int] = []
    of_events: list[int] = []
    lengths: dict[str, list[int]] = {"type": [], "words": []}
    sources = log.source_rows.tolist()
    for user, end in zip(users.tolist(), ends[chosen].tolist(), strict=True):
        start = max(int(log.offsets[user]), end - LENGTH)
        lengths["type"].append(end - start)
        lengths["words"].append(0)
        for event in range(start, end):
            row = frame.iloc[sources[event]]
            types.append(row_of[row["type"]])
            words += [row_of[word] for word in row["words"]]
            of_events.append(len(row["words"]))
            lengths["words"][-1] += len(row["words"])
    found = batch.sequences.to_dict()
    assert found["history_context_type"].values().tolist() == types
    assert found["history_context_type"].lengths().tolist() == lengths["type"]
    assert found["history_context_words"].values().tolist() == words
    assert found["history_context_words"].lengths().tolist() == lengths["words"]
    assert batch.history_lengths["context_words"].tolist() == of_events
    assert set(batch.history_lengths) == {"context_words"}
