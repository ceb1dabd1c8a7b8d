"""A stored number and one that a user wrote compare as they read, whatever type the column has."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.batch import Inputs
from torchrec_ext.data import by_ratio, clean, leave_last_out, read_events
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.features import Number

TENTHS = [0.1, 0.3, 0.7, 0.9]
FLOATS = pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])


def rated(ratings, dtype=np.float64, **more):
    ratings = np.array(ratings, dtype)
    return pd.DataFrame({"user": 1, "item": range(len(ratings)), "rating": ratings, **more})


@FLOATS
@pytest.mark.parametrize(
    ("ratings", "positive", "labels"),
    [
        (TENTHS, 0.7, [0, 0, 1, 1]),
        (TENTHS, np.array([0.7], np.float32), [0, 0, 1, 1]),
        ([2.2, 3.3, 4.1], 4.1, [0, 0, 1]),  # 4.1 itself is not "below 4.1"
    ],
)
def test_a_rating_at_the_threshold_is_positive(dtype, ratings, positive, labels):
    train, _, _ = leave_last_out(read_events(rated([*ratings, 1, 1], dtype)))
    inputs = Inputs(fields=("user", "item"))
    assert LabelledEvents(train, train, inputs, positive).labels[:, 0].tolist() == labels


def test_weights_of_types_stand_in_for_ratings_as_written():
    frame = rated([1.0] * 6, type=["view", "buy"] * 3).drop(columns="rating")
    train, _, _ = leave_last_out(read_events(frame, weights={"view": 0.1, "buy": 0.7}))
    assert train.events.ratings.tolist() == [0.1, 0.7, 0.1, 0.7]


@FLOATS
@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("rating", (np.float32(0.3), 0.7), [1, 2]),
        ("price", (2.2, 3.3), [1, 2]),
        ("size", (None, 0.3), [0, 1]),
        ("label", [0.7, "0.1"], [0, 2]),
        # words that are numbers, and ids beyond 53 bits
        ("year", [2000.0, np.float32(2001)], [1, 2]),
        ("sold", [True], [0, 2, 3]),
        ("item", (2**53 + 1, None), [1, 2, 3]),
        ("item", (str(2**53 + 1), str(2**53 + 1)), [1]),
        ("item", (0.5, float(2**53)), [0]),
    ],
)
def test_filters(dtype, name, wanted, expected):
    columns = {"price": np.array([1.1, 2.2, 3.3, np.nan], dtype), "label": np.array(TENTHS, dtype)}
    whole = {"item": 2**53 + np.arange(4), "year": range(1999, 2003), "sold": [True, False, True, True]}
    frame = rated(TENTHS, dtype).assign(**columns, **whole)
    items = pd.DataFrame({"item": whole["item"], "size": np.array(TENTHS, dtype)})
    label, context = {"label": {"column": "label", "kind": "category"}}, ["price", "year", "sold"]
    events = read_events(frame, items=items, columns=label, context=context)
    assert events.frame["label"].tolist() == ["0.1", "0.3", "0.7", "0.9"]
    kept = clean(events, where={name: wanted})
    assert kept.frame["item"].tolist() == [2**53 + row for row in expected]
    assert len(clean(events, min_rating=dtype(0.7))) == 2


@FLOATS
def test_a_number_on_an_edge_is_in_the_bucket_above(dtype):
    fitted = Number(buckets=(0.3, 0.7)).fit(np.array(TENTHS, dtype))
    for values in (np.array(TENTHS, dtype), pa.array(np.array(TENTHS, dtype))):
        assert fitted.transform(values).tolist() == [1, 2, 3, 3]
    options = {"price": {"kind": "number", "buckets": [2.2, 3.3]}}
    frame = rated([1] * 4, price=np.array([1.1, 2.2, 3.3, 4.4], dtype))
    train, _, _ = by_ratio(read_events(frame, context=options))
    assert sorted(train.log.context["context_price"].tolist()) == [1, 2, 3, 3]
