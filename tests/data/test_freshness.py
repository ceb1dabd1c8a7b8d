"""Features of the past of an event's item, by hand and against a loop over all pairs of events."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data import Events, Source, by_time, freshness, read_events
from torchrec_ext.errors import InputError

START = 1_600_000_000
HOUR = 3600
COLUMNS = ["age", "views_2h", "clicks_2h", "dwell_before", "seen"]


def read(rows, per_second=1):
    """Events of (user, item, minutes, rating, dwell), each of which may be missing but the minutes."""
    users, items, minutes, ratings, dwell = zip(*rows, strict=True)
    times = (START + 60 * np.array(minutes)) * per_second
    table = {
        "user": pa.array(users, pa.string()).dictionary_encode(),
        "item": pa.array(items, pa.string()).dictionary_encode(),
        "timestamp": pa.array(times, pa.int64() if per_second == 1 else pa.timestamp("ns")),
        "rating": pa.array(ratings, pa.float64()),
        "dwell": pa.array(dwell, pa.float64()),
    }
    return Events(pa.table(table), Source("by hand", "", {}, "time", 0, len(rows)))


BY_HAND = [
    ("ann", "x", 0, 1, 40),
    ("ann", "x", 60, 0, None),
    ("bob", "x", 60, 1, 20),  # as late as the one before: neither counts for the other
    ("bob", "x", 120, 1, None),  # the first event is two hours ago, at the edge of the window, which holds it
    ("ann", "x", 121, 0, None),
    ("ann", "y", 121, 0, None),
    ("bob", "x", 90, None, None),  # only tells that the item was there: neither counted nor described
]
NAN = math.nan


def test_by_hand():
    fresh = freshness(read(BY_HAND), hours=[2], dwell="dwell")
    assert fresh.columns[-5:] == tuple(COLUMNS)
    expected = [
        (0, 0, 0, NAN, 0),
        (1, 1, 1, 40, 1),
        (1, 1, 1, 40, 0),
        (2, 3, 2, 30, 1),
        (121 / 60, 3, 2, 30, 2),
        (0, 0, 0, NAN, 0),
        (NAN, NAN, NAN, NAN, NAN),
    ]
    np.testing.assert_allclose(fresh.frame[COLUMNS].to_numpy(float), expected)


def test_with_a_delay_only_the_user_s_own_views_are_known_at_once():
    fresh = freshness(read(BY_HAND), hours=[2], dwell="dwell", delay="1 hour").frame[COLUMNS]
    assert fresh.iloc[3].tolist() == [2, 1, 1, 40, 1]  # the events of minute 60 are not yet known
    assert fresh.iloc[4].tolist() == [121 / 60, 3, 2, 30, 2]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["ann", "bob", None]),
        st.sampled_from(["x", "y", None]),
        st.integers(0, 9).map(lambda hours: 60 * hours),
        st.sampled_from([0.0, 1.0, 2.0, None]),
        st.sampled_from([0.0, 2.5, None]),
    ),
    min_size=1,
    max_size=12,
)


@settings(max_examples=50)
@given(ROWS, st.sampled_from([1, 2, 4]), st.sampled_from([0, 1, 2]), st.sampled_from([1, 10**9]))
def test_a_loop_over_all_pairs_agrees(rows, window, delay, per_second):
    events = read(rows, per_second)
    fresh = freshness(events, [window], clicked=2.0, dwell="dwell", delay=3600 * delay).frame.to_numpy()[
        :, 5:
    ]
    for found, (user, item, time, rating, _) in zip(fresh.astype(float), rows, strict=True):
        if item is None or rating is None:
            assert np.isnan(found).all()
            continue
        same = [(u, t, r, d) for u, i, t, r, d in rows if i == item]
        until = time - 60 * delay
        viewed = [r for _, t, r, _ in same if r is not None and until - 60 * window <= t < until]
        stays = [d for _, t, r, d in same if r == 2 and d is not None and t < until]
        seen = sum(u == user and r is not None and t < time for u, t, r, _ in same)
        expected = (
            (time - min(t for _, t, _, _ in same)) / 60,
            len(viewed),
            viewed.count(2),
            np.mean(stays) if stays else NAN,
            NAN if user is None else seen,
        )
        np.testing.assert_allclose(found, expected)


def test_no_event_changes_what_was_known_before():
    events = read(BY_HAND)
    before = events.numbers("timestamp") < START + 100 * 60
    early = freshness(events.take(before), [2], dwell="dwell").frame[COLUMNS]
    pd.testing.assert_frame_equal(early, freshness(events, [2], dwell="dwell").take(before).frame[COLUMNS])


def test_they_are_features_fitted_on_the_training_part():
    events = freshness(read(BY_HAND), hours=[2, 0.5])
    assert events.columns[-4:] == ("views_0_5h", "clicks_2h", "clicks_0_5h", "seen")
    train, _, _ = by_time(events, valid_from=START + 90 * 60, test_from=START + 121 * 60)
    assert train.schema.dense_of("context") == tuple(f"context_{name}" for name in events.columns[5:])
    ages = np.log1p([0, 1, 1])
    scaled = (ages - ages.mean()) / ages.std()
    np.testing.assert_allclose(np.sort(train.events.context["context_age"][:, 0]), np.sort(scaled), rtol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hours": [1, 1.0]}, "hours should hold each window once"),
        ({"hours": [0]}, "hours should be more than 0 seconds"),
        (
            {"dwell": "stay"},
            "dwell names 'stay', which is not a column of numbers; these are timestamp, rating, dwell",
        ),
        ({"delay": -1}, "delay should be 0 seconds or more"),
    ],
)
def test_what_cannot_be_is_refused(changed, message):
    with pytest.raises(InputError, match=message):
        freshness(read(BY_HAND), **changed)


def test_names_that_are_taken_and_events_without_ratings_are_refused():
    events = read(BY_HAND)
    with pytest.raises(InputError, match="there is a column 'age' already"):
        freshness(freshness(events), hours=[3])
    visits = read_events(pd.DataFrame({"user": ["ann"], "item": ["x"], "timestamp": [START]}))
    with pytest.raises(InputError, match="counts clicks by their rating"):
        freshness(visits)
    with pytest.raises(InputError, match=r"age should be \(7,\) numbers, received \(2,\)"):
        events.with_numbers({"age": np.zeros(2)})
