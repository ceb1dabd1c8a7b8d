"""The last events of each user."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import event_rows, read
from torchrec_ext.data import leave_last_n
from torchrec_ext.errors import InputError

LATE = 10**9


@settings(deadline=None)
@given(event_rows(least=4), st.integers(1, 3), st.integers(1, 3))
def test_exactly_the_last_of_who_has_enough(rows, valid, test):
    expected: list[set[int]] = [set(), set(), set()]
    for user in "abcd":
        own = sorted((r for r in range(len(rows)) if rows[r][0] == user), key=lambda r: (rows[r][2], r))
        last = len(own) if len(own) <= valid + test else len(own) - valid - test
        expected[0] |= set(own[:last])
        expected[1] |= set(own[last : last + valid])
        expected[2] |= set(own[last + valid :])
    if not expected[2]:
        with pytest.raises(InputError, match="the valid part of DataFrame is empty"):
            leave_last_n(read(rows), valid, test)
        return
    parts = leave_last_n(read(rows), valid, test)
    assert [set(part.events.source_rows.tolist()) for part in parts] == expected


def test_a_test_event_does_not_know_the_test_events_before_it():
    train, valid, test = leave_last_n(read([("a", n, LATE + n) for n in range(6)]), valid=1, test=2)
    log, ends = (train + valid).known_before(test)
    assert log.source_rows.tolist() == [0, 1, 2, 3] and ends.tolist() == [4, 4]
    assert "test the last 2, valid the 1 before" in test.protocol


def test_none_is_no_part():
    with pytest.raises(InputError, match="valid should be at least 1, received 0"):
        leave_last_n(read([("a", 1)] * 5), valid=0)
