"""Splits by time that walk forward."""

import pytest

from tests.data.random_events import read
from torchrec_ext.data import rolling_windows
from torchrec_ext.errors import InputError

LATE = 10**9


def rows_of(windows):
    return [[sorted(part.events.source_rows.tolist()) for part in parts] for parts in windows]


def events(count=10, step=1):
    return read([("a", n, LATE + step * n) for n in range(count)])


def test_the_test_parts_follow_each_other_up_to_the_newest_event():
    assert rows_of(rolling_windows(events(), test_seconds=2, windows=3)) == [
        [[0, 1], [2, 3], [4, 5]],
        [[0, 1, 2, 3], [4, 5], [6, 7]],
        [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]],
    ]


def test_validation_has_a_length_of_its_own_and_a_gap_before_both():
    windows = rolling_windows(events(), test_seconds=2, windows=1, valid_seconds=3, gap=1.5)
    assert rows_of(windows) == [[[0, 1, 2, 3], [5, 6], [8, 9]]]
    (parts,) = rolling_windows(events(), test_seconds=2, windows=1, gap=1)
    assert rows_of([parts]) == [[[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]]
    assert parts[0].report.late == 0
    window = f"window 1 of 1: valid from {LATE + 6}, test from {LATE + 8} until {LATE + 10}"
    assert parts[0].protocol == f"{window}, 1 s before each left out"


def test_fractions_of_seconds():
    halves = events(step=0.5)
    assert rows_of(rolling_windows(halves, test_seconds=1, windows=2)) == [
        [[0, 1, 2, 3], [4, 5], [6, 7]],
        [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]],
    ]


def test_windows_share_the_rows_of_items():
    one, two = rolling_windows(events(), test_seconds=2, windows=2)
    assert one[0].schema == two[0].schema and one[0].schema.table("item").rows == 11


def test_faults_are_told_at_once_but_for_an_empty_window():
    with pytest.raises(InputError, match="rolling_windows needs times, but there are no timestamps"):
        rolling_windows(read([("a", 1), ("a", 2)]), test_seconds=1, windows=1)
    with pytest.raises(InputError, match="windows should be at least 1, received 0"):
        rolling_windows(events(), test_seconds=1, windows=0)
    with pytest.raises(InputError, match="valid_seconds should be more than 0 seconds, received -1"):
        rolling_windows(events(), test_seconds=1, windows=1, valid_seconds=-1)
    with pytest.raises(InputError, match="the train part of DataFrame is empty .* window 1 of 5"):
        next(rolling_windows(events(), test_seconds=2, windows=5))
    with pytest.raises(InputError, match="gap should be 0 seconds or more, received -1"):
        next(rolling_windows(events(), test_seconds=2, windows=1, gap=-1))
