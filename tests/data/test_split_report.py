"""What a split reports of its parts."""

import dataclasses

import pandas as pd

from tests.data.random_events import read
from torchrec_ext.data import TableFile, by_time, by_user, leave_last_out, read_events

LATE = 10**9


def test_by_hand():
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
    assert str(train.report) == (
        "leave-last-out: train all but the last two, valid last but one, test last\n"
        "part   events  users  items  cold users  cold items  seen before  not in catalogue\n"
        "train       3      3      2           -           -            -                 -\n"
        "valid       2      2      2           0           2            0                 2\n"
        "test        2      2      2           0           1            1                 1\n"
        "50.0% of the test events are of items that the user knows: evaluate with exclude_seen=False, or no "
        "list can hold them\n"
        "the future leaks into training: 2 of 3 training events (66.7%) happen after the earliest test event "
        "(2001-09-09)"
    )
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
