"""Splits: parts are disjoint and complete, stable on ties, and no target stands in its own history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.data.random_events import START, event_rows, read
from torchrec_ext.data import SPLITS, by_ratio, by_time, by_user, leave_last_out
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.errors import InputError

LATE = 10**9  # seconds, so that timestamps are taken for times


def source_rows(part):
    """Rows of the table that a part holds."""
    return part.events.source_rows.tolist()


def history(known, targets):
    """For each target its row of the table and the rows of its history."""
    log, ends = known.known_before(targets)
    starts = log.offsets[targets.events.users]
    slices = [log.source_rows[s:e].tolist() for s, e in zip(starts, ends, strict=True)]
    return dict(zip(targets.events.source_rows.tolist(), slices, strict=True))


def test_leave_last_out_by_hand():
    events = read([
        ("a", 1, LATE + 3),  # test: the last in time
        ("a", 2, LATE + 1),
        ("b", 1, LATE),  # b has two events: training
        ("a", 3, LATE + 2),  # valid
        ("b", 2, LATE),
        ("a", 4, LATE),
    ])  # fmt: skip
    train, valid, test = leave_last_out(events)
    assert sorted(source_rows(train)) == [1, 2, 4, 5]
    assert source_rows(valid) == [3]
    assert source_rows(test) == [0]
    assert history(train, valid) == {3: [5, 1]}
    assert history(train, test) == {0: [5, 1]}
    assert history(train + valid, test) == {0: [5, 1, 3]}
    assert (train.name, (train + valid).name) == ("train", "train + valid")
    assert "leave-last-out" in test.protocol


def test_of_simultaneous_events_the_last_row_is_the_last():
    train, valid, test = leave_last_out(read([("a", i, LATE) for i in (1, 2, 3, 4)]))
    assert [source_rows(part) for part in (train, valid, test)] == [[0, 1], [2], [3]]


def test_without_times_the_last_row_is_the_last():
    train, valid, test = leave_last_out(read_events(pd.DataFrame({"user": [1] * 4, "item": [9, 8, 7, 6]})))
    assert [source_rows(part) for part in (train, valid, test)] == [[0, 1], [2], [3]]
    assert train.log.times is None


def test_places_in_a_history_order_it_but_are_no_times():
    events = read([("a", 1, 2), ("a", 2, 0), ("a", 3, 1), ("b", 1, 0)])
    assert events.source.order == "order"
    train, valid, test = leave_last_out(events)
    assert [source_rows(part) for part in (train, valid, test)] == [[1, 3], [2], [0]]
    assert train.log.times is None


def test_by_time_by_hand():
    events = read(
        [("a", 1, LATE), ("a", 2, LATE + 10), ("b", 3, LATE + 20), ("b", 4, LATE + 9), ("c", 5, LATE + 19)]
    )
    train, valid, test = by_time(events, valid_from=LATE + 10, test_from=LATE + 20)
    # an event at the first instant of a part belongs to it
    assert [sorted(source_rows(part)) for part in (train, valid, test)] == [[0, 3], [1, 4], [2]]
    assert history(train, valid) == {1: [0], 4: []}
    assert history(train + valid, test) == {2: [3]}


def test_by_user_gives_the_events_before_the_last_one_and_learns_from_none():
    events = read([(user, item, LATE + item) for item in (1, 2, 3) for user in range(10)])
    train, valid, test = by_user(events, valid=0.2, test=0.3)
    users = [set(part.events.user_ids[part.events.users]) for part in (train, valid, test)]
    assert [len(u) for u in users] == [5, 2, 3]
    assert set.union(*users) == set(range(10))
    assert [len(part) for part in (train, valid, test)] == [15, 2, 3]
    assert [len(part.given) for part in (train, valid, test)] == [0, 4, 6]
    for part in (valid, test):
        for target, before in history(train, part).items():
            user = target % 10
            assert (target, before) == (20 + user, [user, 10 + user])


def test_by_user_scales_numbers_by_the_users_it_learns_from():
    frame = pd.DataFrame({"user": range(10), "item": 1, "price": np.arange(10.0)})
    train, _, _ = by_user(read_events(frame, context=["price"]), valid=0.1, test=0.1)
    learnt = frame["price"][train.events.user_ids[train.events.users]]
    scale = train.preparation.fitted["context_price"].scale
    assert (scale.center, scale.spread) == (learnt.mean(), pytest.approx(learnt.std(ddof=0)))


def test_by_ratio_draws_as_many_as_the_shares_say():
    events = read([("a", 1, LATE + i) for i in range(40)])
    parts = by_ratio(events, valid=0.1, test=0.25, seed=3)
    assert [len(part) for part in parts] == [26, 4, 10]
    same, other = (
        by_ratio(events, valid=0.1, test=0.25, seed=3),
        by_ratio(events, valid=0.1, test=0.25, seed=4),
    )
    assert source_rows(same[2]) == source_rows(parts[2])
    assert source_rows(other[2]) != source_rows(parts[2])


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

    positions = [*(p.rows for p in parts), *(p.given for p in parts)]
    assert sorted(np.concatenate(positions).tolist()) == list(range(len(rows)))
    assert all((np.diff(p) > 0).all() for p in positions)
    if name != "by_user":
        assert all(len(p.given) == 0 for p in parts)
    trained_users = set(log.users[train.rows])
    if name == "by_user":
        assert not trained_users & set(log.users[[*valid.rows, *test.rows]])

    def precedes(one, other):
        return (rows[one][2], one) < (rows[other][2], other)

    for known, targets in [
        (train, train),
        (train, valid),
        (train, test),
        (train + valid, test),
        (train + valid, valid),
    ]:
        there = {*source_rows(known), *log.source_rows[targets.given].tolist()}
        for target, before in history(known, targets).items():
            # a target's history: its user's known events that precede it, in order; so never itself
            expected = [r for r in there if rows[r][0] == rows[target][0] and precedes(r, target)]
            assert before == sorted(expected, key=lambda r: (rows[r][2], r))


@settings(deadline=None)
@given(event_rows(least=3))
def test_leave_last_out_takes_exactly_the_last_two(rows):
    parts = split("leave_last_out", rows)
    of_user = {user: [r for r in range(len(rows)) if rows[r][0] == user] for user in "abcd"}
    ordered = {user: sorted(own, key=lambda r: (rows[r][2], r)) for user, own in of_user.items()}
    long = [own for own in ordered.values() if len(own) >= 3]
    if parts is None:
        assert not long
        return
    assert sorted(source_rows(parts[2])) == sorted(own[-1] for own in long)
    assert sorted(source_rows(parts[1])) == sorted(own[-2] for own in long)


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 60), st.floats(0.01, 0.45), st.floats(0.01, 0.45))
@example(4, 0.375, 0.375)  # both are rounded up to 2
def test_shares_are_exact_but_at_least_one(count, valid, test):
    events = read([("a", 1, LATE + i) for i in range(count)])
    sizes = max(1, round(valid * count)), max(1, round(test * count))
    if sum(sizes) == count:
        with pytest.raises(InputError, match="the train part of DataFrame is empty"):
            by_ratio(events, valid=valid, test=test)
        return
    parts = by_ratio(events, valid=valid, test=test)
    assert [len(part) for part in parts] == [count - sum(sizes), *sizes]


def test_min_count_sends_rare_items_to_the_unknown_row():
    train, _, _ = leave_last_out(
        read([("a", i, LATE + n) for n, i in enumerate((7, 8, 7, 9, 7))]), min_count=2
    )
    assert train.log.items.tolist() == [1, 0, 1, 0, 1]
    assert train.schema.table("item").rows == 2


def test_faults_are_told():
    events = read([("a", 1, LATE), ("a", 2, LATE + 1)])
    with pytest.raises(InputError, match=r"the valid part of DataFrame is empty \(2 events, leave-last-out"):
        leave_last_out(events)
    with pytest.raises(InputError, match="the train part"):
        by_user(events)
    with pytest.raises(InputError, match="the test part"):
        by_time(events, valid_from=LATE + 1, test_from=LATE + 2)
    with pytest.raises(InputError, match="valid_from must be before test_from"):
        by_time(events, valid_from=LATE + 1, test_from=LATE + 1)
    with pytest.raises(InputError, match="by_time needs times, but there are no timestamps"):
        by_time(read([("a", 1), ("a", 2)]), valid_from=1, test_from=2)
    for shares in ({"valid": 0.0}, {"test": 1.0}, {"valid": 0.5, "test": 0.5}):
        with pytest.raises(InputError, match="shares above 0 that sum to less than 1"):
            by_ratio(events, **shares)
    with pytest.raises(InputError, match="seed should be at least 0"):
        by_user(events, seed=-1)


def test_parts_of_two_splits_do_not_mix():
    events = read([("a", i, LATE + i) for i in range(4)])
    one, other = leave_last_out(events), leave_last_out(events)
    with pytest.raises(InputError, match=r"train \+ valid: the parts must come from one split"):
        one[0] + other[1]
    with pytest.raises(InputError, match="train and test come from two splits"):
        one[0].known_before(other[2])


def test_a_gap_before_each_boundary_is_in_no_part():
    events = read([("a", n, LATE + n) for n in range(10)])
    parts = by_time(events, valid_from=LATE + 5, test_from=LATE + 8, gap=2)
    # 4 is less than 2 seconds before 5, 3 is not; so with 7 and 6.
    assert [source_rows(part) for part in parts] == [[0, 1, 2, 3], [5, 6], [8, 9]]
    assert history(parts[0] + parts[1], parts[2])[8] == [0, 1, 2, 3, 5, 6]
    assert parts[0].protocol.endswith(", 2 s before each left out")
    with pytest.raises(InputError, match="the valid part of DataFrame is empty"):  # all of it is too late
        by_time(events, valid_from=LATE + 5, test_from=LATE + 8, gap=4)
    with pytest.raises(InputError, match="gap should be 0 seconds or more, received -1"):
        by_time(events, valid_from=LATE + 5, test_from=LATE + 8, gap=-1)
