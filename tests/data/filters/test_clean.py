"""Cleaning: which events go by value, count and repetition, and what is recorded; sessions."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, event_rows, read
from torchrec_ext.data import clean, read_events, sessions
from torchrec_ext.errors import InputError

ROWS = [("a", 1, 10, 5.0), ("a", 2, 20, 1.0), ("b", 1, 30, 4.0), ("b", 3, 40, 2.0), ("c", 1, 50, 3.0)]
SMALL = read(ROWS)


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


@settings(deadline=None)
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


def test_steps_come_in_order_and_report_what_each_removed(caplog):
    caplog.set_level("INFO")
    cleaned = clean(
        SMALL, k_core=(1, 2), min_item_events=2, min_user_events=1, duplicates="first", min_rating=2,
        where={"user": ["a", "b", "c"], "timestamp": (5, None)},
    )  # fmt: skip
    assert [(s.step, s.removed, s.left, s.users, s.items) for s in cleaned.source.steps] == [
        ("min_rating=2", 1, 4, 3, 2), ("user=a,b,c", 0, 4, 3, 2), ("timestamp=5..", 0, 4, 3, 2),
        ("duplicates=first", 0, 4, 3, 2), ("min_item_events=2", 1, 3, 3, 1), ("k_core=(1, 2)", 0, 3, 3, 1),
    ]  # fmt: skip
    assert "min_item_events=2: removed 1 events, left 3 events of 3 users and 1 items" in caplog.text


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 6), st.none() | st.integers(0, 6)), min_size=1), st.integers(1, 4),
       st.integers(2, 4))  # fmt: skip
def test_the_core_is_what_is_left_of_leaving_one_at_a_time(pairs, user_k, item_k):
    rows = set(range(len(pairs)))

    def leaves(row):
        """An event without an item is not counted."""
        user, item = pairs[row]
        of_user = sum(pairs[other][0] == user and pairs[other][1] is not None for other in rows)
        of_item = sum(pairs[other][1] == item for other in rows)
        return of_user < user_k or (item is not None and of_item < item_k)

    while gone := set(list(filter(leaves, rows))[:1]):
        rows -= gone
    frame = pd.DataFrame(pairs, columns=["user", "item"]).astype({"item": "Int64"})
    events = read_events(frame.assign(type="search", row=range(len(pairs))), context=["row"])
    try:
        assert clean(events, k_core=(user_k, item_k)).frame["row"].astype(int).tolist() == sorted(rows)
    except InputError:
        assert not rows


@settings(deadline=None)
@given(event_rows(), st.sampled_from([0.5, 1, 2]))
def test_sessions_against_a_walk_through_each_history(rows, gap):
    names = sessions(read(rows), gap).frame["user"]
    for user in "abcd":
        own = sorted((r for r in range(len(rows)) if rows[r][0] == user), key=lambda r: (rows[r][2], r))
        number = 1
        for place, row in enumerate(own):
            number += bool(place) and rows[row][2] - rows[own[place - 1]][2] > gap
            assert names[row] == f"{user}#{number}"


def test_sessions_by_hand():
    times = [90, 11, 0, 21, 90]  # the second event comes 11 seconds after the third, the fourth 10 later
    frame = pd.DataFrame({"user": [*"baaab"], "item": [1, 2, 3, 4, 5], "timestamp": START + np.array(times)})
    users = pd.DataFrame({"user": ["c", "a"], "age": [50.0, 30.0]})
    cut = sessions(read_events(frame, users=users), gap=10)
    assert cut.frame["user"].tolist() == ["b#1", "a#2", "a#1", "a#2", "b#1"]
    assert cut.frame["visitor"].tolist() == [*"baaab"] and cut.frame["item"].tolist() == [1, 2, 3, 4, 5]
    step = "sessions(gap=10): removed 0 events, left 5 events of 3 users and 5 items"
    assert str(cut.source.steps[-1]) == step
    assert cut.select_features(context=["visitor"]).context_features == ("visitor",)
    assert cut.users.set_index("user")["age"].to_dict() == {"a#1": 30, "a#2": 30}
    with pytest.raises(InputError, match="a column 'visitor' already"):
        sessions(cut, gap=1)


@pytest.mark.parametrize(
    ("rows", "gap", "match"),
    [
        ([("a", 1), ("a", 2)], 1, "sessions needs times, but there are no timestamps"),
        ([("a", 1, 0), ("a", 2, 1)], 1, "needs times, but the timestamp column holds places"),
        ([("a", 1, START)], 0, "gap should be more than 0 seconds, received 0"),
    ],
)
def test_what_cannot_be_cut_into_sessions_is_refused(rows, gap, match):
    with pytest.raises(InputError, match=match):
        sessions(read(rows), gap=gap)


JANUARY = 1_704_067_200  # 2024-01-01, 00:00 UTC
DAY = 86_400
FRAME = pd.DataFrame({
    "user": [*"aabc"], "item": [1, 2, 3, 2], "timestamp": JANUARY + DAY * np.arange(4),
    "rating": [5.0, 3.0, 2.5, 4.0], "country": ["de", None, "at", "fr"], "age": [20, 30, 40, 50],
    "price": [1.0, None, 3.0, 4.0], "vector": [np.float32([1, 2])] * 4,
})  # fmt: skip
USERS = pd.DataFrame({"user": ["a", "b"], "group": ["x", "y"]})
ITEMS = pd.DataFrame({"item": [1, 2, 3], "genres": [["war", "drama"], [], ["drama"]]})
EVENTS = read_events(FRAME, users=USERS, items=ITEMS, context=["country", "age", "price", "vector"])


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("rating", (3, None), "1101"),  # bounds belong to it
        ("rating", (3, 4), "0101"),
        ("rating", (None, "3"), "0110"),  # as a command line says it
        ("price", (None, 3), "1010"),  # a missing value never fits
        ("price", (None, None), "1011"),
        ("country", ["de", "at"], "1010"),
        ("age", (30, 40), "0110"),  # whole numbers have bounds
        ("age", ["30", 50], "0101"),  # and names
        ("user", ["a"], "1100"),
        ("timestamp", (JANUARY + DAY, None), "0111"),
        ("timestamp", ("2024-01-02", "2024-01-03"), "0110"),  # a date is its first instant
        ("timestamp", ["2024-01-02", JANUARY, JANUARY + 0.5], "1100"),
        ("timestamp", (pd.Timestamp("2024-01-02", tz="Europe/Berlin"), None), "0111"),
        ("group", ["x"], "1100"),  # of the users: c has none
        ("genres", ["drama"], "1010"),  # of the items: one of the list is enough
    ],
)
def test_what_fits(name, wanted, expected):
    kept = clean(EVENTS, where={name: wanted}).frame["timestamp"]
    assert "".join(str(int(time in set(kept))) for time in FRAME["timestamp"]) == expected


@pytest.mark.parametrize(
    ("name", "wanted", "match"),
    [
        ("colour", [1], "no column 'colour' to filter by; there are user, item, .*country, .*group, genres"),
        ("country", "de", r"where 'country' takes \(low, high\) or a list of allowed values, received 'de'"),
        ("country", ("a", None), "has the bounds .* but holds words such as 'de'; give a list"),
        ("vector", (1, None), "where 'vector': the column holds vectors, which cannot be compared"),
        ("rating", ("high", None), "where 'rating' takes numbers, received 'high'"),
        ("rating", [None], "where 'rating' takes numbers, received None"),
        ("timestamp", ("soon", None), "'timestamp' should be unix seconds or a date .*, received 'soon'"),
        ("rating", (4, 3), r"bounds in the wrong order, received \(4, 3\)"),
        ("group", ["z"], "group=z removes all events of DataFrame; widen it"),
        ("item", [*range(4, 11)], r"item=4,5,6,7,8,\.\.\. \(7 values\) removes all events"),
    ],
)
def test_what_cannot_be_compared_is_refused(name, wanted, match):
    with pytest.raises(InputError, match=match):
        clean(EVENTS, where={name: wanted})
