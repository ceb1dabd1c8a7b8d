"""Splits by time that walk forward."""

import pytest

from tests.data.random_events import read
from torchrec_ext.data import rolling_windows
from torchrec_ext.errors import InputError

LATE = 10**9


def windows_of(count=10, step=1, **settings):
    return rolling_windows(read([("a", n, LATE + step * n) for n in range(count)]), **settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (
            {"test_seconds": 2, "windows": 3},
            [[[0, 1], [2, 3], [4, 5]], [[0, 1, 2, 3], [4, 5], [6, 7]], [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]],
        ),
        (
            {"test_seconds": 1, "windows": 2, "step": 0.5},
            [[[0, 1, 2, 3], [4, 5], [6, 7]], [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]],
        ),
        (
            {"test_seconds": 2, "windows": 1, "valid_seconds": 3, "gap": 1.5},
            [[[0, 1, 2, 3], [5, 6], [8, 9]]],
        ),
    ],
)
def test_the_test_parts_follow_each_other_up_to_the_newest_event(settings, expected):
    windows = [*windows_of(**settings)]
    rows = [[sorted(part.events.source_rows.tolist()) for part in parts] for parts in windows]
    assert rows == expected
    assert len({parts[0].schema for parts in windows}) == 1  # they share the rows of items
    assert all(parts[0].report.late == 0 for parts in windows)


def test_a_window_names_its_times():
    ((train, *_),) = windows_of(test_seconds=2, windows=1, gap=1)
    window = f"window 1 of 1: valid from {LATE + 6}, test from {LATE + 8} until {LATE + 10}"
    assert train.protocol == f"{window}, 1 s before each left out"


def test_faults_are_named_at_once_but_for_an_empty_window():
    with pytest.raises(InputError, match="rolling_windows needs times, but there are no timestamps"):
        rolling_windows(read([("a", 1), ("a", 2)]), test_seconds=1, windows=1)
    with pytest.raises(InputError, match="windows should be at least 1, received 0"):
        windows_of(test_seconds=1, windows=0)
    with pytest.raises(InputError, match="valid_seconds should be more than 0 seconds, received -1"):
        windows_of(test_seconds=1, windows=1, valid_seconds=-1)
    with pytest.raises(InputError, match="the train part of DataFrame is empty .* window 1 of 5"):
        next(windows_of(test_seconds=2, windows=5))
