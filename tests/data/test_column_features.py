"""Columns of events and side tables as features with options: learnt from the training part alone."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import Preparation, by_time, leave_last_out, read_events
from torchrec_ext.errors import InputError

NOON = 12 * 3600  # of 1 January 1970, a Thursday
DAY = 86_400


def prepare(times, **read):
    frame = pd.DataFrame({"user": "a", "item": range(len(times)), "timestamp": times, "rating": 1})
    events = read_events(frame, **read)
    prepared = Preparation.fit(events, np.ones(len(times), bool))
    return prepared, prepared.log(events).context


def test_columns_of_items_are_what_they_are_told_to_be():
    columns = {
        "age": pd.Series([20, 40, None], dtype="Int64"), "made": [0.0, 9 * DAY, None],
        "image": [np.array([1.0, 0.0], np.float32), None, np.array([3.0, 0.0], np.float32)],
        "words": ["old", "1", "2"], "tags": [["a"], [], ["b"]],
    }  # fmt: skip
    items = pd.DataFrame({"item": range(3), **columns})

    def dense(**features):
        prepared, _ = prepare([NOON, NOON + 1, NOON + 2], items=items, item_features=features)
        return prepared.sides["item"].dense

    found = dense(
        age={"kind": "number", "indicator": True},
        image={"kind": "vector", "width": 2, "scale": "none"},
        made={"kind": "time", "parts": [], "age": True},
    )
    # row 0 is the unknown item, item 1 has no image: the mean of the others
    assert found["item_age"].tolist() == [[0, 1], [-1, 0], [1, 0], [0, 1]]
    assert found["item_image"].tolist() == [[2, 0], [1, 0], [2, 0], [3, 0]]
    np.testing.assert_allclose(found["item_made_age"], [[0], [1], [-1], [0]], atol=1e-6)
    with pytest.raises(InputError, match="feature item_words: the values should be numbers: .*; declare an"):
        dense(words={"kind": "number"})
    with pytest.raises(InputError, match="feature item_tags: a list of words is a category, not a Number"):
        dense(tags={"kind": "number"})


TIME = {"timestamp": {"kind": "time", "parts": ["hour", "weekday"]}}


def test_parts_of_the_events_own_time():
    prepared, context = prepare([NOON, NOON + DAY, NOON + 2 * DAY + 3600], context=TIME)
    assert prepared.schema.features_of("context") == ("context_timestamp_hour", "context_timestamp_weekday")
    rows = {t.name: t.rows for t in prepared.schema.tables}
    assert (rows["context_timestamp_hour"], rows["context_timestamp_weekday"]) == (25, 8)
    assert context["context_timestamp_hour"].tolist() == [13, 13, 14]
    assert context["context_timestamp_weekday"].tolist() == [4, 5, 6]


def test_an_order_has_no_hour():
    with pytest.raises(
        InputError, match=r"feature .timestamp. needs times, but the timestamp column holds places"
    ):
        prepare([0, 1, 2], context=TIME)
    frame = pd.DataFrame({"user": "a", "item": range(3), "timestamp": [NOON, NOON + 1, NOON + 2]})
    told = read_events(frame, context=TIME, order="order")
    with pytest.raises(InputError, match="not a time"):
        leave_last_out(told)
    with pytest.raises(InputError, match="by_time needs times"):
        by_time(told, valid_from=NOON + 1, test_from=NOON + 2)


def test_training_events_that_must_not_lack_a_value_are_in_no_part():
    rows = pd.DataFrame({
        "user": "a", "item": list("uvwxyz"), "timestamp": range(10**9, 10**9 + 6),
        "price": [1.0, None, 3.0, 4.0, None, None],
    })  # fmt: skip
    items = pd.DataFrame({"item": list("uvxyz"), "colour": ["r", "r", None, "r", "r"]})
    read = {"context": {"price": {"kind": "number", "missing": "drop"}}, "items": items}
    train, valid, test = leave_last_out(read_events(rows, **read))
    # v lacks its price; y and z too, but they are no training events
    assert [part.events.source_rows.tolist() for part in (train, valid, test)] == [[0, 2, 3], [4], [5]]
    assert train.report.parts[0].events == 3 and train.report.outside == 1
    colour = {"item_features": {"colour": {"kind": "category", "missing": "drop"}}}
    train, _, _ = leave_last_out(read_events(rows, **read, **colour))
    # x lacks its colour; w is in no table, which is no gap
    assert train.events.source_rows.tolist() == [0, 2]
    with pytest.raises(InputError, match="lacks a value of a feature with missing='drop'"):
        leave_last_out(read_events(rows.assign(price=[None] * 4 + [1.0, 1.0]), **read))
