"""EventLog: sorted by user and time, stable on ties; histories are slices of it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.coded import Coded
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.lists import Lists
from torchrec_ext.data.slices import offsets_of, slice_positions

# Two users, the events of b at 30, 10, 10 and those of a at 20, 5, with the items 1 to 5.
USERS = Coded.of(pd.Series(["b", "a", "b", "a", "b"]))
TIMES = np.array([30, 20, 10, 5, 10])


def small(folder=None):
    columns = [
        ("items", np.array([1, 2, 3, 4, 5])),
        ("times", TIMES.astype(np.float64)),
        ("ratings", np.array([1, 2, 3, 4, 5], np.float32)),
        ("context_day", np.array([6, 7, 8, 9, 10])),
        ("context_words", Lists(np.array([1, 2, 3]), np.array([0, 2, 2, 3, 3, 3]))),
    ]
    return EventLog.sort(USERS, np.array([1, 2]), TIMES, columns, folder)


def test_sorts_by_user_and_time_and_keeps_the_rows_order_on_ties():
    log = small()
    assert len(log) == 5
    assert log.user_ids.tolist() == ["b", "a"]
    assert log.user_rows.tolist() == [1, 2]
    assert log.offsets.tolist() == [0, 3, 5]
    assert log.users.tolist() == [0, 0, 0, 1, 1]
    assert log.items.tolist() == [3, 5, 1, 4, 2]
    assert log.times.tolist() == [10, 10, 30, 5, 20]
    assert log.ratings.tolist() == [3, 5, 1, 4, 2]
    assert log.context["context_day"].tolist() == [8, 10, 6, 9, 7]
    assert log.source_rows.tolist() == [2, 4, 0, 3, 1]
    words = log.context["context_words"]
    assert (words.values.tolist(), words.lengths.tolist()) == ([3, 1, 2], [1, 0, 2, 0, 0])


def test_without_times_the_rows_keep_their_order():
    log = EventLog.sort(USERS, np.array([1, 2]), None, [("items", np.array([1, 2, 3, 4, 5]))])
    assert log.items.tolist() == [1, 3, 5, 2, 4]
    assert log.times is None
    assert log.ratings is None


def test_select_keeps_all_users():
    log = small().select(np.array([1, 2]))
    assert log.user_ids.tolist() == ["b", "a"]
    assert log.offsets.tolist() == [0, 2, 2]
    assert log.items.tolist() == [5, 1]
    assert log.times.tolist() == [10, 30]
    assert log.context["context_day"].tolist() == [10, 6]
    assert log.source_rows.tolist() == [4, 0]
    assert small().select(np.array([], np.int64)).offsets.tolist() == [0, 0, 0]


def test_a_log_in_a_folder_is_mapped_and_opens_again(tmp_path):
    kept = small(tmp_path / "log")
    part = kept.select(np.array([1, 2]), tmp_path / "part")
    for log, again in ((small(), kept), (small(), EventLog.open(tmp_path / "log")),
                       (small().select(np.array([1, 2])), EventLog.open(tmp_path / "part"))):  # fmt: skip
        assert again.user_ids.tolist() == log.user_ids.tolist()
        for name in ("user_rows", "offsets", "items", "source_rows", "times", "ratings"):
            assert getattr(again, name).tolist() == getattr(log, name).tolist()
            assert getattr(again, name).dtype == getattr(log, name).dtype
        assert again.weights is None
        assert again.context["context_day"].tolist() == log.context["context_day"].tolist()
        found, expected = again.context["context_words"], log.context["context_words"]
        assert (found.values.tolist(), found.offsets.tolist()) == (
            expected.values.tolist(), expected.offsets.tolist(),
        )  # fmt: skip
    assert isinstance(kept.items, np.memmap) and isinstance(part.times, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        kept.items[0] = 1


def test_an_empty_log_opens_again(tmp_path):
    log = small(tmp_path / "log").select(np.zeros(0, np.int64), tmp_path / "none")
    assert len(log) == 0 and len(EventLog.open(tmp_path / "none")) == 0


def test_recent_keeps_the_newest_and_stays_with_its_user():
    log = small()
    users, ends = np.array([0, 0, 1, 1]), np.array([3, 1, 5, 3])
    assert log.recent(users, ends, 2).tolist() == [1, 0, 3, 3]
    assert log.recent(users, ends, 0).tolist() == [3, 1, 5, 3]


def test_items_of_some_users():
    items, offsets = small().items_of(np.array([1, 0]))
    assert items.tolist() == [4, 2, 3, 5, 1]
    assert offsets.tolist() == [0, 2, 5]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3))))
def test_the_order_is_that_of_a_stable_sort(events):
    users, times = pd.Series([u for u, _ in events], dtype=object), np.array([t for _, t in events], np.int64)
    rows = np.arange(len(events))
    coded = Coded.of(users)
    log = EventLog.sort(coded, np.zeros(len(coded.words), np.int64), times, [("items", rows)])
    names = list(dict.fromkeys(users))
    assert log.source_rows.tolist() == sorted(rows, key=lambda row: (names.index(users[row]), times[row]))
    assert log.items.tolist() == log.source_rows.tolist()
    assert [log.user_ids[u] for u in log.users] == [users[row] for row in log.source_rows]


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4))))
def test_slice_positions_are_those_of_ranges(slices):
    starts, lengths = (np.array([s[i] for s in slices], np.int64) for i in (0, 1))
    expected = [position for start, length in slices for position in range(start, start + length)]
    assert slice_positions(starts, starts + lengths).tolist() == expected
    assert offsets_of(lengths).tolist() == [sum(lengths[:i]) for i in range(len(slices) + 1)]
