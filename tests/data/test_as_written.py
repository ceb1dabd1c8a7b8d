"""A stored number and one that a user wrote compare as they read, whatever type the column has."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.batch import Inputs
from torchrec_ext.data import by_ratio, clean, leave_last_out, read_events
from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.features import Number
from torchrec_ext.data.filters.where import matches

TENTHS = [0.1, 0.3, 0.7, 0.9]
FLOATS = (np.float64, np.float32, np.float16)
SIZES, WORDS = np.array(TENTHS, np.float32), {"size": {"column": "size", "kind": "category"}}


def rated(ratings, dtype=np.float64, **more):
    ratings = np.array(ratings, dtype)
    return pd.DataFrame({"user": 1, "item": range(len(ratings)), "rating": ratings, **more})


def labels(frame, positive):
    """Labels of all events but the last two."""
    train, _, _ = leave_last_out(read_events(frame))
    return LabelledEvents(train, train, Inputs(fields=("user", "item")), positive).labels[:, 0].tolist()


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_rating_at_the_threshold_is_positive(dtype):
    assert labels(rated([*TENTHS, 0.1, 0.9], dtype), 0.7) == [0, 0, 1, 1]
    assert labels(rated([2.2, 3.3, 4.1, 5, 5], dtype), 4.1) == [0, 0, 1]  # 4.1 itself is not "below 4.1"
    for positive in (np.float32(0.7), np.array([0.7], np.float32)):
        assert labels(rated([*TENTHS, 0.1, 0.9]), positive) == [0, 0, 1, 1]
    # float32 takes these two for one
    assert labels(rated([16_777_216.0, 16_777_217.0, 1.0, 1.0]), 16_777_217) == [0, 1]


def test_weights_of_types_stand_in_for_ratings_as_written():
    frame = rated([1.0] * 6, type=["view", "buy"] * 3).drop(columns="rating")
    train, _, _ = leave_last_out(read_events(frame, weights={"view": 0.1, "buy": 0.7}))
    assert train.events.ratings.tolist() == [0.1, 0.7, 0.1, 0.7]


@pytest.mark.parametrize("dtype", FLOATS)
def test_filters(dtype):
    frame = rated(TENTHS, dtype, price=np.array([1.1, 2.2, 3.3, np.nan], dtype))
    items = pd.DataFrame({"item": range(4), "size": np.array(TENTHS, dtype)})
    events = read_events(frame, items=items, context=["price"])
    assert len(clean(events, min_rating=0.7)) == len(clean(events, min_rating=np.float32(0.7))) == 2
    for name, wanted, expected in (
        ("rating", (np.float32(0.3), 0.7), [1, 2]),
        ("rating", [0.1, 0.7], [0, 2]),
        ("price", (2.2, 3.3), [1, 2]),
        ("size", (None, 0.3), [0, 1]),
    ):
        assert np.flatnonzero(matches(events, name, wanted)).tolist() == expected


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("year", [2000.0, np.float32(2001)], [1, 2]),
        ("sold", [True], [0, 2, 3]),
        ("size", [0.7, "0.1"], [0, 2]),
        # ids beyond 53 bits
        ("item", (2**53 + 1, None), [1, 2, 3]),
        ("item", (str(2**53 + 1), str(2**53 + 1)), [1]),
        ("item", (0.5, float(2**53)), [0]),
        ("item", [2**53 + 1], [1]),
    ],
)
def test_filters_of_words_that_are_numbers(name, wanted, expected):
    frame = rated(TENTHS, year=[1999, 2000, 2001, 2002], sold=[True, False, True, True], size=SIZES)
    events = read_events(frame.assign(item=2**53 + np.arange(4)), context=["year", "sold"], columns=WORDS)
    assert events.frame["size"].tolist() == ["0.1", "0.3", "0.7", "0.9"]
    assert np.flatnonzero(matches(events, name, wanted)).tolist() == expected


@pytest.mark.parametrize("dtype", FLOATS)
def test_a_number_on_an_edge_is_in_the_bucket_above(dtype):
    fitted = Number(buckets=(0.3, 0.7)).fit(np.array(TENTHS, dtype))
    for values in (np.array(TENTHS, dtype), pa.array(np.array(TENTHS, dtype))):
        assert fitted.transform(values).tolist() == [1, 2, 3, 3]
    options = {"price": {"kind": "number", "buckets": [2.2, 3.3]}}
    frame = rated([1] * 4, price=np.array([1.1, 2.2, 3.3, 4.4], dtype))
    train, _, _ = by_ratio(read_events(frame, context=options))
    assert sorted(train.log.context["context_price"].tolist()) == [1, 2, 3, 3]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_cast_back_gives_the_same(dtype):
    bits = np.random.default_rng(0).integers(0, 2 ** (8 * np.dtype(dtype).itemsize), 10_000)
    values = bits.astype(f"u{np.dtype(dtype).itemsize}").view(dtype)
    found = as_written(values)
    np.testing.assert_array_equal(found.astype(dtype), values)
    assert found.dtype == np.float64 and as_written(values.reshape(100, 100)).shape == (100, 100)
    assert as_written(np.zeros(0, dtype)).shape == (0,)
