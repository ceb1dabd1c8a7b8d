"""Splits: parts are disjoint and complete, stable on ties, and no target stands in its own history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, event_rows, read
from torchrec_ext.data import (
    SPLITS,
    as_marked,
    by_ratio,
    by_time,
    by_user,
    leave_last_n,
    leave_last_out,
    read_events,
    rolling_windows,
)
from torchrec_ext.errors import InputError

LATE = 10**9  # seconds, so that timestamps are taken for times


def source_rows(parts):
    """Rows of the table that each part holds, in the order of its log."""
    return [part.events.source_rows.tolist() for part in parts]


def history(known, targets):
    """For each target its row of the table and the rows of its history."""
    log, ends = known.known_before(targets)
    starts = log.offsets[targets.events.users]
    slices = [log.source_rows[s:e].tolist() for s, e in zip(starts, ends, strict=True)]
    return dict(zip(targets.events.source_rows.tolist(), slices, strict=True))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", 9), ("a", 8), ("a", 7), ("a", 6)], [[0, 1], [2], [3]]),
        # places in a history order it, but are no times
        ([("a", 1, 2), ("a", 2, 0), ("a", 3, 1), ("b", 1, 0)], [[1, 3], [2], [0]]),
    ],
)
def test_the_last_without_times(rows, expected):
    train, valid, test = leave_last_out(read(rows))
    assert source_rows((train, valid, test)) == expected and train.log.times is None
    assert (train.name, (train + valid).name) == ("train", "train + valid")


def test_by_user_gives_the_events_before_the_last_one_and_learns_from_none():
    rows = [(user, item, LATE + item) for item in (1, 2, 3) for user in range(10)]
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"]).assign(price=np.arange(30.0))
    train, valid, test = by_user(read_events(frame, context=["price"]), valid=0.2, test=0.3)
    users = [{*part.events.user_ids[part.events.users]} for part in (train, valid, test)]
    assert [*map(len, users)] == [5, 2, 3] and set.union(*users) == {*range(10)}
    assert [len(part) for part in (train, valid, test)] == [15, 2, 3]
    assert [len(part.history_only) for part in (train, valid, test)] == [0, 4, 6]
    for target, before in {**history(train, valid), **history(train, test)}.items():
        assert target >= 20 and before == [target - 20, target - 10]
    learnt, scale = frame["price"][train.events.source_rows], train.preparation.fitted["context_price"].scale
    assert (scale.center, scale.spread) == (learnt.mean(), pytest.approx(learnt.std(ddof=0)))


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 60), st.floats(0.01, 0.45), st.floats(0.01, 0.45))
@example(4, 0.375, 0.375)  # both are rounded up to 2
def test_shares_are_exact_but_at_least_one_and_follow_the_seed(count, valid, test):
    events = read([("a", 1, LATE + i) for i in range(count)])
    sizes = max(1, round(valid * count)), max(1, round(test * count))
    if sum(sizes) == count:
        with pytest.raises(InputError, match="the train part of DataFrame is empty"):
            by_ratio(events, valid=valid, test=test)
        return
    first, same, other = (source_rows(by_ratio(events, valid=valid, test=test, seed=s)) for s in (3, 3, 4))
    assert [*map(len, first)] == [count - sum(sizes), *sizes]
    assert first == same and (first != other or count < 40)


def split(name, rows):
    """The parts of a split, None where one is empty; marks go by the item."""
    settings = {"valid_from": START + 2, "test_from": START + 3} if name == "by_time" else {}
    frame = pd.DataFrame(rows, columns=["user", "item", "timestamp"])
    frame["split"] = np.array(["", "TRAIN", "train", "Training", "val", "test"])[frame["item"]]
    try:
        return SPLITS[name](read_events(frame, columns={"split": "split"}), **settings)
    except InputError as error:
        assert "part of DataFrame is empty" in str(error)
        return None


@pytest.mark.parametrize("name", SPLITS)
@settings(deadline=None, max_examples=60)
@given(rows=event_rows())
def test_every_split(name, rows):
    parts = split(name, rows)
    if parts is None:
        return
    train, valid, test = parts
    log = train.log
    positions = [*(p.rows for p in parts), *(p.history_only for p in parts)]
    assert sorted(np.concatenate(positions).tolist()) == list(range(len(rows)))
    assert all((np.diff(p) > 0).all() for p in positions)
    if name == "by_user":
        assert not set(log.users[train.rows]) & set(log.users[[*valid.rows, *test.rows]])
    else:
        assert all(len(p.history_only) == 0 for p in parts)
    for known, targets in ((train, train), (train, valid), (train, test), (train + valid, test)):
        there = {*known.events.source_rows.tolist(), *log.source_rows[targets.history_only].tolist()}
        for target, before in history(known, targets).items():
            # a target's history: its user's known events that precede it, in order; so never itself
            user, _, time = rows[target]
            own = [(rows[row][2], row) for row in there if rows[row][0] == user]
            assert before == [row for at, row in sorted(own) if (at, row) < (time, target)]


def test_parts_of_two_splits_do_not_mix():
    events = read([("a", i, LATE + i) for i in range(4)])
    one, other = leave_last_out(events), leave_last_out(events)
    with pytest.raises(InputError, match=r"train \+ valid: the parts must come from one split"):
        one[0] + other[1]
    with pytest.raises(InputError, match="train and test come from two splits"):
        one[0].known_before(other[2])


@settings(deadline=None)
@given(event_rows(least=4), st.integers(1, 3), st.integers(1, 3))
def test_exactly_the_last_events_of_who_has_enough(rows, valid, test):
    expected = [set(), set(), set()]
    for user in "abcd":
        own = sorted((r for r in range(len(rows)) if rows[r][0] == user), key=lambda r: (rows[r][2], r))
        last = len(own) if len(own) <= valid + test else len(own) - valid - test
        for part, held in zip(expected, np.split(own, [last, last + valid]), strict=True):
            part.update(held)
    for split in (leave_last_n, leave_last_out):
        count = {"valid": valid, "test": test} if split is leave_last_n else {}
        if split is leave_last_out and (valid, test) != (1, 1):
            continue
        if expected[2]:
            assert [*map(set, source_rows(split(read(rows), **count)))] == expected
        else:
            with pytest.raises(InputError, match="the valid part of DataFrame is empty"):
                split(read(rows), **count)


TWO = read([("a", 1, LATE), ("a", 2, LATE + 1)])
MARKS = ["train", "Training", "VALID", "validation", "val", " Dev ", "Test", "testing"]


def marked(marks):
    frame = pd.DataFrame({"user": 1, "item": range(len(marks)), "fold": marks})
    return as_marked(read_events(frame, columns={"fold": "fold"}), "fold")


def test_every_word_that_is_understood():
    parts = marked(MARKS)
    assert source_rows(parts) == [[0, 1], [2, 3, 4, 5], [6, 7]]
    assert parts[0].protocol == "as marked in column 'fold'"


@pytest.mark.parametrize(
    ("refused", "match"),
    [
        (lambda: leave_last_out(TWO), r"the valid part of DataFrame is empty \(2 events, leave-last-out"),
        (lambda: by_user(TWO), "the train part"),
        (lambda: leave_last_n(TWO, valid=0), "valid should be at least 1, received 0"),
        (lambda: by_time(TWO, valid_from=LATE + 1, test_from=LATE + 2), "the test part"),
        (lambda: by_time(TWO, valid_from=LATE, test_from=LATE), "must be before test_from"),
        (lambda: by_time(TWO, valid_from=0, test_from=1, gap=-1), "gap should be 0 .*, received -1"),
        (lambda: by_time(read([("a", 1)]), valid_from=1, test_from=2), "by_time needs times, but there are"),
        (lambda: by_ratio(TWO, valid=0.0), "shares above 0 that sum to less than 1"),
        (lambda: by_ratio(TWO, valid=0.5, test=0.5), "shares above 0 that sum to less than 1"),
        (lambda: by_user(TWO, seed=-1), "seed should be at least 0"),
        (lambda: as_marked(TWO, "fold"), "needs a column 'fold'; DataFrame has user, item, timestamp"),
        (lambda: marked([*MARKS, "tset", "tset"]), "column 'fold' holds 'tset' in 2 rows; expected tr"),
        (lambda: marked([*MARKS, None]), "column 'fold' has no mark in 1 rows"),
        (lambda: marked([0.0, 1.0]), "should hold train, valid and test, not numbers"),
        (lambda: marked([0, 1, 2]), "column 'fold' holds 0 in 1 rows"),
        (lambda: marked(["train", "test"]), "the valid part of DataFrame is empty"),
        (lambda: rolling_windows(read([("a", 1)]), test_seconds=1, windows=1), "needs times"),
        (lambda: windows_of(test_seconds=1, windows=0), "windows should be at least 1, received 0"),
        (lambda: windows_of(test_seconds=1, windows=1, valid_seconds=-1), "valid_seconds should be more"),
        # only when it is asked for
        (lambda: next(windows_of(test_seconds=2, windows=5)), "the train part of DataFrame is empty"),
    ],
)
def test_faults_are_named(refused, match):
    with pytest.raises(InputError, match=match):
        refused()


def windows_of(step=1, **settings):
    return rolling_windows(read([("a", n, LATE + step * n) for n in range(10)]), **settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"test_seconds": 2, "windows": 3}, ["01 23 45", "0123 45 67", "012345 67 89"]),
        ({"test_seconds": 1, "windows": 2, "step": 0.5}, ["0123 45 67", "012345 67 89"]),
        ({"test_seconds": 2, "windows": 1, "valid_seconds": 3, "gap": 1.5}, ["0123 56 89"]),
    ],
)
def test_the_test_parts_of_windows_follow_each_other_up_to_the_newest_event(settings, expected):
    windows = [*windows_of(**settings)]
    rows = [["".join(map(str, sorted(part))) for part in source_rows(parts)] for parts in windows]
    assert [" ".join(parts) for parts in rows] == expected
    assert len({parts[0].schema for parts in windows}) == 1  # they share the rows of items
    assert all(parts[0].report.late == 0 for parts in windows)


def test_a_window_names_its_times():
    ((train, *_),) = windows_of(test_seconds=2, windows=1, gap=1)
    window = f"window 1 of 1: valid from {LATE + 6}, test from {LATE + 8} until {LATE + 10}"
    assert train.protocol == f"{window}, 1 s before each left out"
