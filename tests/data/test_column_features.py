"""Columns of events and side tables as features with options: learnt from the training part alone."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import by_time, leave_last_out, read_events
from torchrec_ext.data.column_features import apply_column, default_options, fit_column, kept_rows
from torchrec_ext.data.columns import column_of
from torchrec_ext.data.features import Category, Number, Vector
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError

ALL = np.ones(3, bool)
NOON = 12 * 3600  # of 1 January 1970, a Thursday
DAY = 86_400


def test_what_a_column_becomes_where_nothing_is_declared():
    for values, options in (
        ([1.0], Number()), ([np.zeros(3, np.float32)], Vector(3)), (["a"], Category()), ([["a"]], Category()),
    ):  # fmt: skip
        assert default_options(column_of(pd.Series(values))) == options


def test_integers_become_numbers_if_told_and_words_do_not():
    ages = column_of(pd.Series([20, 40, None], dtype="Int64"))
    fitted = fit_column("user_age", ages, ALL, Number(indicator=True))["user_age"]
    assert apply_column(fitted, ages).tolist() == [[-1, 0], [1, 0], [0, 1]]
    with pytest.raises(
        InputError, match="feature user_age: the values should be numbers: .*; declare another kind"
    ):
        fit_column("user_age", column_of(pd.Series(["old", "1", "2"])), ALL, Number())


def test_lists_are_rows_of_a_table_and_nothing_else():
    tags = column_of(pd.Series([["x", "y"], [], ["y", "z"]]))
    training = np.array([True, True, False])
    found = apply_column(fit_column("item_tags", tags, training, Category())["item_tags"], tags)
    assert (found.values.tolist(), found.offsets.tolist()) == ([1, 2, 2, 0], [0, 2, 2, 4])
    with pytest.raises(InputError, match="feature item_tags: a list of words is a category, not a Number"):
        fit_column("item_tags", tags, training, Number())


def test_words_are_hashed_and_numbers_are_put_into_buckets():
    words = column_of(pd.Series(["a", "b", None]))
    hashed = fit_column("context_word", words, ALL, Category(hash=10))["context_word"]
    rows = apply_column(hashed, words)
    assert hashed.rows == 11 and rows[2] == 0 and (rows[:2] >= 1).all() and (rows <= 10).all()
    prices = column_of(pd.Series([1.0, 5.0, None]))
    options = Number(missing="unknown", buckets=(2.0, 4.0))
    bucketed = fit_column("item_price", prices, ALL, options)["item_price"]
    assert apply_column(bucketed, prices).tolist() == [1, 3, 0]


def frame(times):
    rows = len(times)
    return pd.DataFrame({
        "user": ["a"] * rows, "item": list(range(rows)), "timestamp": times, "rating": 1,
    })  # fmt: skip


def test_parts_of_the_events_own_time():
    options = {"timestamp": {"kind": "time", "parts": ["hour", "weekday"]}}
    events = read_events(frame([NOON, NOON + DAY, NOON + 2 * DAY + 3600]), context=options)
    prepared = Preparation.fit(events, ALL)
    assert prepared.schema.features_of("context") == ("context_timestamp_hour", "context_timestamp_weekday")
    rows = {t.name: t.rows for t in prepared.schema.tables}
    assert (rows["context_timestamp_hour"], rows["context_timestamp_weekday"]) == (25, 8)
    context = prepared.log(events).context
    assert context["context_timestamp_hour"].tolist() == [13, 13, 14]
    assert context["context_timestamp_weekday"].tolist() == [4, 5, 6]
    assert prepared.fitted["context_timestamp_hour"].transform([NOON]).tolist() == [13]


def test_an_order_has_no_hour():
    options = {"timestamp": {"kind": "time"}}
    events = read_events(frame([0, 1, 2]), context=options)
    with pytest.raises(InputError, match=r"wants parts of a time, but the timestamp column holds places"):
        Preparation.fit(events, ALL)
    told = read_events(frame([NOON, NOON + 1, NOON + 2]), context=options, order="order")
    with pytest.raises(InputError, match="not a time"):
        leave_last_out(told)
    with pytest.raises(InputError, match="by_time needs times"):
        by_time(told, valid_from=NOON + 1, test_from=NOON + 2)


def test_training_events_that_must_not_lack_a_value_are_in_no_part():
    rows = pd.DataFrame({
        "user": ["a"] * 6, "item": list("uvwxyz"), "timestamp": range(10**9, 10**9 + 6),
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
    assert train.events.source_rows.tolist() == [
        0,
        2,
    ]  # x lacks its colour; w is in no table, which is no gap
    with pytest.raises(InputError, match="lacks a value of a feature with missing='drop'"):
        leave_last_out(read_events(rows.assign(price=[None] * 4 + [1.0, 1.0]), **read))


def test_rows_that_are_kept():
    prices = column_of(pd.Series([1.0, None, 2.0]))
    fitted = fit_column("p", prices, ALL, Number(missing="drop"))["p"]
    assert kept_rows(fitted, prices).tolist() == [True, False, True]
    words = column_of(pd.Series(["a", None, "b"]))
    for options, kept in ((Category(missing="drop"), [True, False, True]), (Category(), [True] * 3)):
        assert kept_rows(fit_column("w", words, ALL, options)["w"], words).tolist() == kept
    lists = column_of(pd.Series([["a"], None, ["b"]]))
    assert kept_rows(fit_column("l", lists, ALL, Category(missing="drop"))["l"], lists).all()


def test_given_vectors_and_ages_of_items():
    image = [np.array([1.0, 0.0], np.float32), None, np.array([3.0, 0.0], np.float32)]
    items = pd.DataFrame({"item": [0, 1, 2], "image": image, "made": [0.0, 9 * DAY, None]})
    features = {
        "image": {"kind": "vector", "width": 2, "scale": "none"},
        "made": {"kind": "time", "parts": [], "age": True},
    }
    events = read_events(frame([NOON, NOON + 1, NOON + 2]), items=items, item_features=features)
    prepared = Preparation.fit(events, ALL)
    assert prepared.schema.dense_width(["item_image"]) == 2
    dense = prepared.sides["item"].dense
    # row 0 is the unknown item, item 1 has no image: the mean of the others
    assert dense["item_image"].tolist() == [[2, 0], [1, 0], [2, 0], [3, 0]]
    assert dense["item_made_age"].shape == (4, 1) and np.isfinite(dense["item_made_age"]).all()
