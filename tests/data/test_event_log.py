"""Events: rows taken, features chosen. EventLog: sorted by user and time; histories are slices of it."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data import EventLog, Preparation, read_events
from torchrec_ext.data.slices import Slices
from torchrec_ext.errors import InputError

# Two users, the events of b at 30, 10, 10 and those of a at 20, 5, with the items 1 to 5.
ORDER = np.array([2, 4, 0, 3, 1], np.int32)


def small(folder=None):
    words = pa.LargeListArray.from_arrays([0, 2, 2, 3, 3, 3], [1, 2, 3])
    columns = {
        "items": [1, 2, 3, 4, 5], "times": [30.0, 20, 10, 5, 10], "ratings": [1, 2, 3, 4, 5],
        "context_day": [6, 7, 8, 9, 10],
    }  # fmt: skip
    laid = [*((name, np.array(values)) for name, values in columns.items()), ("context_words", words)]
    return EventLog.sort(pd.Index(["b", "a"]), np.array([1, 2]), np.array([3, 2]), ORDER, laid, folder)


def content(log):
    columns = {**vars(log), **log.context}
    return {n: c.tolist() for n, c in columns.items() if n not in ("context", "labels") and c is not None}


def test_every_column_is_laid_in_the_order_and_selecting_keeps_all_users():
    log = small()
    assert (len(log), log.users.tolist(), log.weights) == (5, [0, 0, 0, 1, 1], None)
    assert content(log) == {
        "user_ids": ["b", "a"], "user_rows": [1, 2], "offsets": [0, 3, 5], "items": [3, 5, 1, 4, 2],
        "source_rows": [2, 4, 0, 3, 1], "times": [10, 10, 30, 5, 20], "ratings": [3, 5, 1, 4, 2],
        "context_day": [8, 10, 6, 9, 7], "context_words": [[3], [], [1, 2], [], []],
    }  # fmt: skip
    assert content(log.select(np.array([1, 2]))) == {
        "user_ids": ["b", "a"], "user_rows": [1, 2], "offsets": [0, 2, 2], "items": [5, 1],
        "source_rows": [4, 0], "times": [10, 30], "ratings": [5, 1], "context_day": [10, 6],
        "context_words": [[], [1, 2]],
    }  # fmt: skip


@pytest.mark.parametrize("rows", [None, [1, 2], []])
def test_a_log_in_a_folder_is_mapped_and_opens_again(tmp_path, rows):
    in_memory, mapped = small(), small(tmp_path)
    if rows is not None:
        rows = np.array(rows, np.int64)
        in_memory, mapped = in_memory.select(rows), mapped.select(rows, tmp_path / "part")
    for log in (mapped, EventLog.open(tmp_path if rows is None else tmp_path / "part")):
        assert content(log) == content(in_memory) and log.times.dtype == in_memory.times.dtype
        assert isinstance(log.items, np.memmap) and isinstance(log.offsets, np.memmap)
        assert not log.items.flags.writeable


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), min_size=1), st.booleans())
def test_the_order_is_that_of_a_stable_sort(events, timed):
    """Of events that share user and time, and of all where there are no times, the rows' order decides."""
    users, times = zip(*events, strict=True)
    frame = pd.DataFrame({"user": users, "item": range(len(events))})
    data = read_events(frame.assign(timestamp=np.array(times) + 10**9) if timed else frame)
    log = Preparation.fit(data, np.ones(len(events), bool)).log(data)
    names = list(dict.fromkeys(users))
    order = [(names.index(user), time if timed else 0, row) for row, (user, time) in enumerate(events)]
    assert log.source_rows.tolist() == [row for _, _, row in sorted(order)]
    assert (log.items - 1).tolist() == log.source_rows.tolist()
    assert [log.user_ids[u] for u in log.users] == [users[row] for row in log.source_rows]


@settings(deadline=None)
@given(st.data(), st.sampled_from([np.int32, np.int64, np.float64]), st.integers(0, 30))
def test_what_is_read_is_what_pythons_slices_are(data, dtype, size):
    column = np.arange(size).astype(dtype)
    column.flags.writeable = False  # as one that is mapped from a file
    shortest = data.draw(st.integers(0, size))
    starts = data.draw(st.lists(st.integers(0, size - shortest), max_size=9))
    ends = [data.draw(st.integers(start + shortest, size)) for start in starts]
    found = Slices(np.array(starts, np.int64), np.array(ends, np.int64)).of(column)
    expected = [
        value for start, end in zip(starts, ends, strict=True) for value in column.tolist()[start:end]
    ]
    assert found.tolist() == expected
    assert found.dtype == dtype and found.flags.writeable


def test_events_give_marked_rows_and_other_features():
    items = pd.DataFrame({"item": [4, 5], "title": "One", "price": 2})
    frame = pd.DataFrame({"user": [1, 2, 3], "item": [4, 5, 6], "page": 3})
    events = read_events(frame, items=items, context=["page"])
    taken = events.take(np.array([True, False, True]))
    assert taken.frame["user"].tolist() == [1, 3] and len(events) == 3
    with pytest.raises(InputError, match=r"mask should be bool \(3,\), received"):
        events.take(np.array([0, 2]))
    fewer = events.select_features(item=(), context=())
    assert (fewer.item_features, fewer.context_features) == ((), ())
    assert "3 events of 3 users and 3 items; features none" in fewer.summary()
    assert (events.item_features, events.context_features) == (("price",), ("page",))
    assert fewer.select_features(item=["price"]).item_features == ("price",)
    with pytest.raises(InputError, match="'title' cannot be used as item feature; there are price"):
        events.select_features(item=["title"])
