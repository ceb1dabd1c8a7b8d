"""Sessions from gaps in time."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.random_events import event_rows, read
from torchrec_ext.data import read_events, sessions
from torchrec_ext.errors import InputError

LATE = 10**9


def test_by_hand():
    rows = [("b", 1, 90), ("a", 2, 11), ("a", 3, 0), ("a", 4, 21), ("b", 5, 90)]
    # the second event comes 11 seconds after the third, the fourth 10 later
    cut = sessions(read([(user, item, LATE + time) for user, item, time in rows]), gap=10)
    assert cut.frame["user"].tolist() == ["b#1", "a#2", "a#1", "a#2", "b#1"]
    assert cut.frame["visitor"].tolist() == ["b", "a", "a", "a", "b"]
    assert cut.frame["item"].tolist() == [1, 2, 3, 4, 5]
    step = "sessions(gap=10): removed 0 events, left 5 events of 3 users and 5 items"
    assert str(cut.source.steps[-1]) == step
    assert cut.select_features(context=["visitor"]).context_features == ("visitor",)


@given(event_rows(), st.sampled_from([0.5, 1, 2]))
def test_against_a_walk_through_each_history(rows, gap):
    names = sessions(read(rows), gap).frame["user"]
    for user in "abcd":
        own = sorted((r for r in range(len(rows)) if rows[r][0] == user), key=lambda r: (rows[r][2], r))
        number = 1
        for place, row in enumerate(own):
            number += bool(place) and rows[row][2] - rows[own[place - 1]][2] > gap
            assert names[row] == f"{user}#{number}"


def test_a_session_has_the_side_features_of_its_user():
    frame = pd.DataFrame({"user": [7, 7, 8], "item": 1, "timestamp": [LATE, LATE + 9999, LATE]})
    users = pd.DataFrame({"user": [9, 7], "age": [50.0, 30.0]})
    cut = sessions(read_events(frame, users=users))
    assert cut.users.to_dict("list") == {"user": ["7#1", "7#2"], "age": [30.0, 30.0]}
    assert cut.user_features == ("age",)


def test_what_cannot_be_cut_is_refused():
    events = read([("a", 1, LATE), ("a", 2, LATE + 1)])
    for wrong, gap, match in (
        (read([("a", 1), ("a", 2)]), 1, "sessions needs times, but there are no timestamps"),
        (read([("a", 1, 0), ("a", 2, 1)]), 1, "needs times, but the timestamp column holds places"),
        (events, 0, "gap should be more than 0 seconds, received 0"),
        (sessions(events), 1, "a column 'visitor' already"),
    ):
        with pytest.raises(InputError, match=match):
            sessions(wrong, gap=gap)
