"""Cleaning: which events go, in which order, and what is recorded."""

import pandas as pd
import pytest

from torchrec_ext.data.cleaning.clean import clean
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.errors import InputError


def events(rows, columns=("user", "item", "timestamp", "rating")):
    return read_events(pd.DataFrame(rows, columns=list(columns)))


@pytest.fixture
def small():
    return events([
        ("a", 1, 10, 5.0),
        ("a", 2, 20, 1.0),
        ("b", 1, 30, 4.0),
        ("b", 3, 40, 2.0),
        ("c", 1, 50, 3.0),
    ])  # fmt: skip


def test_nothing_is_removed_unless_asked(small):
    same = clean(small)
    pd.testing.assert_frame_equal(same.frame, small.frame)
    assert same.source.steps == ()
    repeated = events([("a", 1, 30, 1.0), ("a", 1, 20, 1.0)])
    assert len(clean(repeated, duplicates="all")) == 2


def test_low_ratings_go_equal_ones_stay(small):
    assert clean(small, min_rating=3).frame["rating"].tolist() == [5.0, 4.0, 3.0]


def test_rare_items_go_before_users_are_counted_and_once(small):
    # Items 2 and 3 have one event each. Without them a, b and c have one each.
    assert clean(small, min_item_events=2).frame["item"].tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="min_user_events=2 removes all events"):
        clean(small, min_item_events=2, min_user_events=2)
    # Users come after: removing c leaves items 2 and 3 with one event, and they stay.
    assert clean(small, min_user_events=2).frame["user"].tolist() == ["a", "a", "b", "b"]


def test_counts_are_of_what_the_step_before_left(small):
    # With ratings of 3 and more each user has one event left.
    with pytest.raises(InputError, match="the most frequent user has 1, lower it"):
        clean(small, min_rating=3, min_user_events=2)


def test_steps_tell_what_each_removed(small, caplog):
    caplog.set_level("INFO")
    cleaned = clean(small, min_rating=2, min_item_events=2)
    assert [(s.step, s.removed, s.left, s.users, s.items) for s in cleaned.source.steps] == [
        ("min_rating=2", 1, 4, 3, 2),
        ("min_item_events=2", 1, 3, 3, 1),
    ]
    assert "min_item_events=2: removed 1 events, left 3 events of 3 users and 1 items" in caplog.text
    assert small.source.steps == ()


@pytest.mark.parametrize(("keep", "expected"), [("first", [20.0, 10.0]), ("last", [30.0, 10.0])])
def test_of_repeated_pairs_the_first_or_last_in_time_stays(keep, expected):
    # Rows are not in order of time.
    repeated = events([("a", 1, 30, 1.0), ("a", 1, 20, 1.0), ("b", 1, 10, 1.0), ("a", 1, 25, 1.0)])
    assert clean(repeated, duplicates=keep).frame["timestamp"].tolist() == expected


@pytest.mark.parametrize(("keep", "expected"), [("first", [1.0, 9.0]), ("last", [9.0, 3.0])])
def test_among_equal_times_and_without_times_the_rows_decide(keep, expected):
    rows = [("a", 1, 7, 1.0), ("a", 1, 7, 2.0), ("b", 1, 7, 9.0), ("a", 1, 7, 3.0)]
    assert clean(events(rows), duplicates=keep).frame["rating"].tolist() == expected
    timeless = events([(u, i, r) for u, i, _, r in rows], columns=("user", "item", "rating"))
    assert clean(timeless, duplicates=keep).frame["rating"].tolist() == expected


def test_a_filter_that_leaves_nothing_is_named(small):
    with pytest.raises(
        InputError, match=r"min_rating=6 removes all events of DataFrame; the highest rating is 5"
    ):
        clean(small, min_rating=6)
    with pytest.raises(InputError, match="min_item_events=9 removes all events .* most frequent item has 3"):
        clean(small, min_item_events=9)


def test_settings_that_make_no_sense_are_refused(small):
    with pytest.raises(InputError, match="min_user_events should be at least 0, received -1"):
        clean(small, min_user_events=-1)
    with pytest.raises(InputError, match="duplicates should be 'all' or 'first' or 'last', received 'keep'"):
        clean(small, duplicates="keep")
    with pytest.raises(InputError, match="min_rating=3 needs ratings"):
        clean(events([("a", 1)], columns=("user", "item")), min_rating=3)


def test_the_core_is_what_is_left_of_everything_else(small):
    # Among ratings of 2 and more item 2 has no event, then item 3 one, then b and c have one each.
    assert clean(small, where={"rating": (2, None)}, k_core=(1, 2)).frame["user"].tolist() == ["a", "b", "c"]
    step = clean(small, k_core=(1, 2)).source.steps[-1]
    assert (step.step, step.removed, step.left) == ("k_core=(1, 2)", 2, 3)
    assert len(clean(small, k_core=1)) == 5
    with pytest.raises(InputError, match=r"k_core=\(2, 2\) removes all events of DataFrame; lower one"):
        clean(small, k_core=2)
    for wrong in (0, (2,), (1, 2, 3), (2, 0)):
        with pytest.raises(InputError, match="k_core must be one or two numbers of 1 or more, received"):
            clean(small, k_core=wrong)


def test_steps_come_in_the_order_of_the_documentation(small):
    everything = clean(
        small,
        k_core=(1, 1),
        min_item_events=2,
        min_user_events=1,
        duplicates="first",
        where={"user": ["a", "b"], "timestamp": (5, None)},
        min_rating=1,
    )
    names = [step.step for step in everything.source.steps]
    assert names == ["min_rating=1", "user=a,b", "timestamp=5..", "duplicates=first", "min_item_events=2"]


def test_side_tables_stay_whole(small):
    items = pd.DataFrame({"item": [1, 2, 3], "price": [1, 1, 1]})
    with_items = read_events(small.frame, items=items)
    cleaned = clean(with_items, min_item_events=2)
    assert cleaned.items["item"].tolist() == [1, 2, 3] and cleaned.item_features == ("price",)
