"""What describe() and a split report find, in figures, as text and as a sheet."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from matplotlib import image, pyplot

from tests.data.random_events import START as LATE
from tests.data.random_events import read
from torchrec_ext.data import TableFile, by_time, by_user, clean, describe, leave_last_out, read_events

DAY = 86_400
FIRST = 1_704_067_200  # 2024-01-01, 00:00 UTC


FRAME = pd.DataFrame({
    "user": list("abaabb"), "item": [1, 1, 2, 1, 3, 3], "rating": [5.0, 4.0, 4.0, 3.0, 1.0, 2.5],
    "timestamp": FIRST + np.array([0, 0, 60, 10 * DAY, 30, 30]), "weight": [1.0, np.nan, 1.0, 1.0, 1.0, 1.0],
    "type": ["view", "buy", "view", "view", "view", "buy"], "page": ["x", None, "y", None, "x", "x"],
})  # fmt: skip
USERS = pd.DataFrame({"user": ["a", "b"], "age": [30.0, None]})
ITEMS = pd.DataFrame({"item": [1, 2, 3, 4], "genres": [["x"], [], None, ["y"]], "title": list("pqrs")})
EVENTS = read_events(FRAME, users=USERS, items=ITEMS, context=["page", "weight"])


def test_by_hand():
    described = describe(EVENTS)
    assert (described.rows, described.users, described.items, described.pairs) == (6, 2, 3, 4)
    assert described.density == 4 / 6 and described.head == 3 / 6
    assert described.history_lengths.tolist() == [3, 3] and described.popularity.tolist() == [3, 2, 1]
    # a waits 60 s, then 10 days less 60 s; b 30 s, then none.
    assert sorted(described.gaps) == [0, 30, 60, 10 * DAY - 60]
    assert (described.times.min(), described.times.max()) == (FIRST, FIRST + 10 * DAY)
    assert [*described.types.items()] == [("view", 4), ("buy", 2)]
    assert {name: share for name, share in described.missing.items() if share} == {
        "page": pytest.approx(2 / 6), "weight": pytest.approx(1 / 6), "users.age": 0.5, "items.genres": 0.5,
    }  # fmt: skip


def test_the_table():
    lines = str(clean(EVENTS, min_rating=2, duplicates="last").describe()).splitlines()
    assert "2 share user and timestamp with another, the order of the rows decides" in lines[0]
    for line in (
        "density  66.667% of the pairs of a user and an item have an event",
        "head     50.0% of the events are of the most popular 1% of the items",
        "period   2024-01-01 to 2024-01-11 (10 d)",
        "types    view 2 (50.0%), buy 2 (50.0%)",
        "missing  page 50.0%, weight 25.0%, users.age 50.0%, items.genres 50.0%",
        "removed  duplicates=last: removed 1 events, left 4 events of 2 users and 3 items",
        "events of an item     1      1    1    1.5  1.8    2.0     2",
        "gap to the next    30 s  2.5 d  5 d  7.5 d  9 d  9.9 d  10 d",
        "rating              2.5    2.9  3.5      4    4      4     4",
    ):
        assert line in lines


def test_gaps_of_nanoseconds_are_seconds():
    times = pd.to_datetime([FIRST, FIRST + 0.25, FIRST + DAY], unit="s")
    described = read_events(pd.DataFrame({"user": 1, "item": [1, 2, 3], "timestamp": times})).describe()
    assert described.gaps.tolist() == pytest.approx([0.25, DAY - 0.25])


def test_what_the_data_cannot_tell_is_said_to_be_so():
    described = read_events(pd.DataFrame({"user": [1, 1], "item": [2, 2]})).describe()
    assert described.times is described.gaps is described.ratings is described.types is None
    text = str(described)
    assert "period   no times" in text and "missing  nothing in 2 columns" in text
    assert "gap to the next" not in text and "removed  nothing" in text


@pytest.mark.parametrize("frame", [FRAME, FRAME[["user", "item"]]])
def test_the_sheet(frame, tmp_path):
    open_figures = pyplot.get_fignums()
    read_events(frame).describe().draw(tmp_path / "new" / "sheet.png")
    picture = image.imread(tmp_path / "new" / "sheet.png")
    assert picture.shape[1] > picture.shape[0] > 500 and picture.std() > 0.1
    assert pyplot.get_fignums() == open_figures  # nothing of pyplot's is touched


def test_a_report_of_parts_by_hand():
    events = read([
        ("a", 1, LATE), ("a", 2, LATE + 1), ("a", 9, LATE + 2),  # a's test event is the earliest
        ("b", 1, LATE + 3), ("b", 8, LATE + 4), ("b", 1, LATE + 5),
        ("c", 3, LATE + 6),
    ])  # fmt: skip
    train, valid, test = leave_last_out(events)
    assert train.report is valid.report is (train + valid).report
    # Item 9 is cold in test, items 2 and 8 in validation; c trains only; b knows the item of the test.
    assert [dataclasses.astuple(part) for part in train.report.parts] == [
        ("train", 3, 3, 2, 0, 0, 0, 0), ("valid", 2, 2, 2, 0, 2, 0, 2), ("test", 2, 2, 2, 0, 1, 1, 1),
    ]  # fmt: skip
    assert (train.report.late, train.report.first_test) == (2, LATE + 2)
    protocol, header, first, _, last, seen, leaks = str(train.report).splitlines()
    assert protocol == "leave-last-out: train all but the last two, valid last but one, test last"
    assert header.split("  ")[-3:] == ["cold items", "seen before", "not in catalogue"]
    assert first.split() == ["train", "3", "3", "2", *"----"] and last.split() == ["test", *"2220111"]
    assert seen.startswith("50.0% of the test events are of items that the user knows: evaluate with")
    assert "2 of 3 training events (66.7%) happen after the earliest test event (2001-09-09)" in leaks
    assert (train + valid).describe().rows == 5 and test.describe().popularity.tolist() == [1, 1]
    assert str(test.describe()).startswith("DataFrame, test part: leave-last-out: train all but the last two")


def test_what_is_in_no_part_read_as_history_or_without_a_rating():
    events = read([("a", 1, LATE + n) for n in range(10)])
    report = by_time(events, valid_from=LATE + 5, test_from=LATE + 8, gap=2)[0].report
    assert (report.late, report.outside) == (0, 2)
    assert str(report).endswith(
        "2 events are in no part\nno training event happens after the earliest test event (2001-09-09)"
    )
    report = by_user(read([(user, item) for item in (1, 2, 3) for user in range(10)]))[0].report
    assert report.given == 4 and "4 events are read as history" in str(report)
    assert [(p.events, p.users, p.cold_users) for p in report.parts] == [(24, 8, 0), (1, 1, 1), (1, 1, 1)]
    assert (report.late, report.first_test) == (None, None)
    assert str(report).endswith("so nobody can tell whether training events happen after test events")
    frame = pd.DataFrame({"user": 1, "item": range(5)})
    tables = [TableFile(frame.assign(rating=[5, 1, 5, 1, 5])), TableFile(frame)]
    report = leave_last_out(read_events(tables))[0].report
    assert report.unrated == 5
    assert "5 events have no rating: a ranker only reads them as history" in str(report)


def test_rare_items_are_not_in_the_catalogue_and_searches_are_not_seen():
    kinds = ["view", "search", *["view"] * 5]
    events = read_events(pd.DataFrame({"user": [1] * 6 + [2], "item": [7, 8, 7, 9, 8, 7, 8], "type": kinds}))
    # 7 and 9 are learnt, then comes 8, which was only searched for but is learnt by user 2; then 7 again
    for min_count, expected in ((1, [(0, 0), (0, 0), (1, 0)]), (3, [(0, 1), (0, 0), (1, 0)])):
        parts = leave_last_out(events, min_count=min_count)[0].report.parts
        assert [(p.seen, p.outside) for p in parts] == expected
