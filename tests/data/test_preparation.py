"""Preparation: ids and columns become rows and numbers, by what was learnt from the training part alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import Preparation, leave_last_out, read_events
from torchrec_ext.data.features import to_json
from torchrec_ext.errors import InputError

LATE = 10**9
TRAINING = np.array([True, True, True, True, False])
DEVIATION = np.sqrt(8 / 3)  # of 2, 4 and 6


def read():
    """Five events; user c and item 40 are in no side table, user d and item 9 in no event."""
    frame = pd.DataFrame({
        "user": ["b", "a", "b", "c", "a"], "item": [30, 10, 10, 20, 40],
        "timestamp": LATE + np.array([5, 0, 1, 2, 0]), "rating": [4, 3, 2, 1, 5],
        "day": ["Mon", "Sun", "Mon", None, "Tue"], "price": [2.0, 4.0, np.nan, 6.0, 100.0],
    })  # fmt: skip
    users = pd.DataFrame({"user": list("dab"), "gender": list("xfm"), "age": [99.0, 20.0, 40.0]})
    items = pd.DataFrame({
        "item": [10, 20, 30, 9], "title": ["One", "Two", "Three", "Nine"],
        "tags": [None, ["x", "y"], ["y", "z"], ["z"]], "year": [1990, 2000, 1990, 1970],
        "image": list(np.float32([[1, 2], [3, 4], [1, 2], [9, 9]])),
    })  # fmt: skip
    return read_events(frame, users=users, items=items, context=["day", "price"])


EVENTS = read()
PREPARED = Preparation.fit(EVENTS, TRAINING)


def test_schema_by_hand():
    """Floats and vectors are numbers, every other column looks up a table of the values that train."""
    schema = PREPARED.schema
    assert schema.features_of("user") == ("user", "user_gender")
    assert schema.features_of("item") == ("item", "item_tags", "item_year")
    assert schema.features_of("context") == ("context_day",)
    assert schema.dense_of("user", "item", "context") == ("context_price", "user_age", "item_image")
    # not Tue, nor the year of an item without an event
    rows = {"user": 4, "item": 5, "user_gender": 3, "item_tags": 4, "item_year": 3, "context_day": 3}
    assert {t.name: t.rows for t in schema.tables} == rows
    assert [f.name for f in schema.features if f.many] == ["item_tags"]


def test_log_by_hand():
    log = PREPARED.log(EVENTS)
    assert (log.user_ids.tolist(), log.user_rows.tolist()) == (["b", "a", "c"], [1, 2, 3])
    assert log.source_rows.tolist() == [2, 0, 1, 4, 3]
    assert log.items.tolist() == [2, 1, 2, 4, 3]  # 30, 10, 20 and 40 have the rows 1, 2, 3 and 4
    assert log.times.tolist() == [LATE + 1, LATE + 5, LATE, LATE, LATE + 2]
    assert log.ratings.tolist() == [2, 4, 3, 5, 1]
    assert log.context["context_day"].tolist() == [1, 1, 2, 0, 0]
    prices = log.context["context_price"][:, 0] * DEVIATION
    np.testing.assert_allclose(prices, [0, -2, 0, 96, 2], rtol=1e-6)


def test_side_features_by_hand():
    """Row 0 stands for unknown ids; c and 40 have a row, but are in no side table."""
    user, item = PREPARED.sides["user"], PREPARED.sides["item"]
    assert user.ids("user_gender", np.arange(4))[0].tolist() == [0, 2, 1, 0]  # unknown, b, a, c
    assert user.dense["user_age"][:, 0].tolist() == [0, 1, -1, 0]
    values, lengths = item.ids("item_tags", np.array([3, 0, 1, 2, 4, 3]))
    assert (values.tolist(), lengths.tolist()) == ([1, 2, 0, 2, 3, 0, 0, 1, 2], [2, 1, 2, 1, 1, 2])
    assert item.ids("item_year", np.arange(5))[0].tolist() == [0, 1, 1, 2, 0]
    images = item.dense["item_image"] * np.sqrt(8 / 9)  # of three, two of which are alike
    np.testing.assert_allclose(images[:, 0], np.array([0, -2, -2, 4, 0]) / 3, atol=1e-6)


def test_later_events_know_new_users_by_their_history_alone():
    later = pd.DataFrame({
        "user": ["new", "a", "new"], "item": [10, 77, 30], "timestamp": [LATE + 9, LATE + 8, LATE + 7],
        "day": ["Wed", "Sun", "Tue"], "price": [4.0, np.inf, 4.0],
    })  # fmt: skip
    log = PREPARED.log(read_events(later, context=["day", "price"]))
    assert (log.user_rows.tolist(), log.items.tolist()) == ([0, 2], [1, 2, 0])
    assert log.context["context_day"].tolist() == [0, 0, 2]
    assert log.context["context_price"].tolist() == [[0], [0], [0]] and log.ratings is None
    with pytest.raises(InputError, match="lack the column 'price' that the model reads as context; they hav"):
        PREPARED.log(read_events(later.drop(columns="price"), context=["day"]))


def test_min_count_counts_events_and_sends_rare_items_to_row_0():
    prepared = Preparation.fit(EVENTS, TRAINING, min_count=2)
    assert prepared.vocabularies["item"].index.tolist() == [10]
    assert prepared.log(EVENTS).items.tolist() == [1, 0, 1, 0, 0]
    assert prepared.sides["item"].ids("item_year", np.arange(2))[0].tolist() == [0, 1]
    with pytest.raises(InputError, match="min_count=3 leaves no item; the most frequent one has 2 events"):
        Preparation.fit(EVENTS, TRAINING, min_count=3)


def test_ids_of_side_tables_get_rows_behind_those_of_events_where_the_catalogue_is_all():
    everything = Preparation.fit(replace(EVENTS, catalogue="all"), TRAINING, min_count=2)
    # 20 has one event: it is rarer than min_count, whatever the side table holds
    assert everything.vocabularies["item"].index.tolist() == [10, 9]
    assert everything.vocabularies["user"].index.tolist() == ["b", "a", "c", "d"]
    assert everything.trained.catalogue.tolist() == [1, 2]
    assert everything.trained.or_unknown("item", np.array([1, 2])).tolist() == [1, 0]
    assert everything.sides["item"].ids("item_year", np.arange(3))[0].tolist() == [0, 1, 0]  # 1970 is new


NOON = 12 * 3600  # of 1 January 1970, a Thursday
DAY = 86_400
ITEMS = pd.DataFrame({
    "item": range(3), "age": pd.array([20, 40, None], "Int64"), "made": [0.0, 9 * DAY, None],
    "image": [np.array([1.0, 0.0], np.float32), None, np.array([3.0, 0.0], np.float32)],
    "words": ["old", "1", "2"], "tags": [["a"], [], ["b"]],
})  # fmt: skip


def fit(times, **read):
    frame = pd.DataFrame({"user": "a", "item": range(len(times)), "timestamp": times})
    return Preparation.fit(read_events(frame, **read), np.ones(len(times), bool))


def test_columns_of_items_are_what_they_are_told_to_be():
    told = {
        "age": {"kind": "number", "indicator": True},
        "image": {"kind": "vector", "width": 2, "scale": "none"},
        "made": {"kind": "time", "parts": [], "age": True},
    }
    found = fit([NOON, NOON + 1, NOON + 2], items=ITEMS, item_features=told).sides["item"].dense
    # row 0 is the unknown item, item 1 has no image: the mean of the others
    assert found["item_age"].tolist() == [[0, 1], [-1, 0], [1, 0], [0, 1]]
    assert found["item_image"].tolist() == [[2, 0], [1, 0], [2, 0], [3, 0]]
    np.testing.assert_allclose(found["item_made_age"], [[0], [1], [-1], [0]], atol=1e-6)
    for column, said in (("words", "the values should be numbers: .*; declare"), ("tags", "a list of words")):
        with pytest.raises(InputError, match=f"feature item_{column}: .*{said}"):
            fit([NOON] * 3, items=ITEMS, item_features={column: {"kind": "number"}})


def test_an_order_has_no_hour():
    told = {"context": {"timestamp": {"kind": "time", "parts": ["hour"]}}}
    for read in ({**told, "order": "order"}, told):
        times = [NOON, NOON + 1, NOON + 2] if "order" in read else [0, 1, 2]
        with pytest.raises(InputError, match="needs times, but the timestamp column .*not a time"):
            fit(times, **read)


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
    assert (train.report.parts[0].events, train.report.outside) == (3, 1)
    colour = {"item_features": {"colour": {"kind": "category", "missing": "drop"}}}
    train, _, _ = leave_last_out(read_events(rows, **read, **colour))
    # x lacks its colour; w is in no table, which is no gap
    assert train.events.source_rows.tolist() == [0, 2]
    with pytest.raises(InputError, match="lacks a value of a feature with missing='drop'"):
        leave_last_out(read_events(rows.assign(price=[None] * 4 + [1.0, 1.0]), **read))


def test_columns_of_side_tables_keep_their_kind():
    """A list column is known by its first list; a user without a row does not turn integers into floats."""
    users = pd.DataFrame({"user": ["a", "b"], "likes": [None, ["x", "y"]], "city": [2**60 + 1, 2**60]})
    events = read_events(pd.DataFrame({"user": ["a", "b", "c"], "item": 5}), users=users)
    side = Preparation.fit(events, np.ones(3, bool)).sides["user"]
    assert side.ids("user_likes", np.arange(4))[0].tolist() == [0, 0, 1, 2, 0]
    assert side.ids("user_city", np.arange(4))[0].tolist() == [0, 1, 2, 0]


def test_ids_are_found_whatever_their_kind_and_users_keep_one_kind():
    frame = pd.DataFrame({"user": [1, 2], "item": [5, 6]})
    numbers, words = read_events(frame), read_events(frame.astype(str))
    of_numbers, of_words = (Preparation.fit(events, np.ones(2, bool)) for events in (numbers, words))
    with pytest.raises(InputError, match=r"ids of users are strings \(such as '1'\), but were integers"):
        of_numbers.log(words)
    log = of_words.log(numbers)
    assert (log.user_ids.tolist(), log.user_rows.tolist(), log.items.tolist()) == (["1", "2"], [1, 2], [1, 2])
    assert of_numbers.log(read_events(frame.astype({"item": str}))).items.tolist() == [1, 2]


def content(prepared):
    sides = [{**side.dense, **side.categorical} for side in prepared.sides.values()]
    return {
        "schema": prepared.schema,
        "fitted": {name: to_json(fitted) for name, fitted in prepared.fitted.items()},
        "ids": {name: ids.index.tolist() for name, ids in prepared.vocabularies.items()},
        "sides": [{name: column.tolist() for name, column in columns.items()} for columns in sides],
        "log": prepared.log(EVENTS).items.tolist(),
        "catalogue": prepared.trained.catalogue.tolist(),
    }


def test_saved_and_loaded(tmp_path):
    PREPARED.save(tmp_path / "new")
    assert content(Preparation.load(tmp_path / "new")) == content(PREPARED)
    (tmp_path / "new" / "trained.safetensors").unlink()
    for entity, known in (("user", PREPARED.trained.users), ("item", PREPARED.trained.items)):
        np.save(tmp_path / "new" / f"trained_{entity}.npy", known)  # as earlier releases did
    older = Preparation.load(tmp_path / "new")
    assert content(older) == content(PREPARED) and not older.trained.offers_all
    np.save(tmp_path / "new" / "offers_all.npy", np.array(True))
    assert Preparation.load(tmp_path / "new").trained.offers_all


def test_scales_are_of_the_training_part_and_of_users_that_train():
    for learnt, name, scale in (
        (TRAINING, "context_price", (4.0, DEVIATION)),  # without the price of 100, and what is missing
        (TRAINING, "user_age", (30.0, 10.0)),
        (np.arange(5) == 1, "user_age", (20.0, 1.0)),
    ):
        fitted = Preparation.fit(EVENTS, learnt).fitted[name].scale
        assert (fitted.center, fitted.spread) == pytest.approx(scale)
