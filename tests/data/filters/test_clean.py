"""Cleaning: which events go, in which order, and what is recorded."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.random_events import event_rows, read
from torchrec_ext.data import clean, read_events
from torchrec_ext.data.filters.clean import in_k_core
from torchrec_ext.errors import InputError

ROWS = [("a", 1, 10, 5.0), ("a", 2, 20, 1.0), ("b", 1, 30, 4.0), ("b", 3, 40, 2.0), ("c", 1, 50, 3.0)]
SMALL = read(ROWS)


@pytest.mark.parametrize(
    ("settings", "items"),
    [
        ({}, [1, 2, 1, 3, 1]),
        ({"min_rating": 3}, [1, 1, 1]),  # equal ratings stay
        ({"min_item_events": 2}, [1, 1, 1]),
        ({"min_user_events": 2}, [1, 2, 1, 3]),  # users come after: items 2 and 3 are left with one event
        ({"k_core": 1}, [1, 2, 1, 3, 1]),
    ],
)
def test_what_stays(settings, items):
    assert clean(SMALL, **settings).frame["item"].tolist() == items
    assert len(SMALL.source.steps) == 0


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        # each counts what the step before left
        ({"min_item_events": 2, "min_user_events": 2}, "min_user_events=2 removes all events"),
        ({"min_rating": 3, "min_user_events": 2}, "the most frequent user has 1, lower it"),
        ({"min_rating": 6}, "min_rating=6 removes all events of DataFrame; the highest rating is 5"),
        ({"min_item_events": 9}, "min_item_events=9 removes all events .* most frequent item has 3"),
        ({"k_core": 2}, r"k_core=\(2, 2\) removes all events of DataFrame; lower one"),
        ({"where": {"item": [9]}}, "item=9 removes all .* frequent values are 1, 2, 3, choose"),
        ({"where": {"rating": (6, None)}}, "rating=6.. removes all .* go from 1 to 5, widen the bounds"),
        ({"min_user_events": -1}, "min_user_events should be at least 0, received -1"),
        ({"duplicates": "keep"}, "duplicates should be 'all' or 'first' or 'last', received 'keep'"),
        *(({"k_core": wrong}, "k_core must be one or two numbers") for wrong in (0, (2,), (1, 2, 3), (2, 0))),
    ],
)
def test_what_leaves_nothing_or_makes_no_sense_is_refused(settings, match):
    with pytest.raises(InputError, match=match):
        clean(SMALL, **settings)
    with pytest.raises(InputError, match="min_rating=3 needs ratings"):
        clean(read([("a", 1)]), min_rating=3)


def test_steps_come_in_order_and_report_what_each_removed(caplog):
    caplog.set_level("INFO")
    cleaned = clean(
        SMALL, k_core=(1, 2), min_item_events=2, min_user_events=1, duplicates="first", min_rating=2,
        where={"user": ["a", "b", "c"], "timestamp": (5, None)},
    )  # fmt: skip
    assert [(s.step, s.removed, s.left, s.users, s.items) for s in cleaned.source.steps] == [
        ("min_rating=2", 1, 4, 3, 2),
        ("user=a,b,c", 0, 4, 3, 2),
        ("timestamp=5..", 0, 4, 3, 2),
        ("duplicates=first", 0, 4, 3, 2),
        ("min_item_events=2", 1, 3, 3, 1),
        ("k_core=(1, 2)", 0, 3, 3, 1),
    ]
    assert "min_item_events=2: removed 1 events, left 3 events of 3 users and 1 items" in caplog.text


@given(event_rows(), st.sampled_from(["first", "last"]), st.booleans())
def test_of_repeated_pairs_the_first_or_last_stays_and_ties_go_by_row(rows, keep, timed):
    order = sorted(range(len(rows)), key=lambda row: (rows[row][2] if timed else 0, row))
    kept = {rows[row][:2]: row for row in (order[::-1] if keep == "first" else order)}
    events = read(rows if timed else [row[:2] for row in rows])
    numbered = events.table.append_column("row", [list(map(float, range(len(rows))))])
    cleaned = clean(type(events)(numbered, events.source), duplicates=keep)
    assert cleaned.numbers("row").tolist() == sorted(kept.values())


def test_events_without_an_item_are_never_repeated_and_side_tables_stay_whole():
    frame = pd.DataFrame({"user": 1, "item": [7, None, 7, None], "type": ["view", "search"] * 2})
    items = pd.DataFrame({"item": [7, 8], "price": [1, 1]})
    cleaned = clean(read_events(frame.astype({"item": "Int64"}), items=items), duplicates="first")
    assert cleaned.frame["type"].tolist() == ["view", "search", "search"]
    assert cleaned.items["item"].tolist() == [7, 8] and cleaned.item_features == ("price",)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(-1, 6)), min_size=1),
    st.integers(1, 4),
    st.integers(1, 4),
)
def test_the_core_is_what_is_left_of_leaving_one_at_a_time(pairs, user_k, item_k):
    rows = set(range(len(pairs)))

    def leaves(row):
        user, item = pairs[row]
        of_user = sum(pairs[other][0] == user and pairs[other][1] >= 0 for other in rows)
        return of_user < user_k or (item >= 0 and sum(pairs[other][1] == item for other in rows) < item_k)

    while gone := set(list(filter(leaves, rows))[:1]):
        rows -= gone
    users, items = np.array(pairs, np.int32).T
    assert np.flatnonzero(in_k_core(users, items, user_k, item_k)).tolist() == sorted(rows)
