"""Preparation: ids and columns become rows and numbers, by what was learnt from the training part alone."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import Preparation, read_events
from torchrec_ext.data.features import to_json
from torchrec_ext.errors import InputError

LATE = 10**9
TRAINING = np.array([True, True, True, True, False])
DEVIATION = np.sqrt(8 / 3)  # of 2, 4 and 6


@pytest.fixture(scope="module")
def events():
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


@pytest.fixture(scope="module")
def prepared(events):
    return Preparation.fit(events, TRAINING)


def test_schema_by_hand(prepared):
    schema = prepared.schema
    # floats and vectors are numbers, every other column looks up a table of its own, of the values that
    # train: not Tue, nor the year of an item without an event
    assert schema.features_of("user") == ("user", "user_gender")
    assert schema.features_of("item") == ("item", "item_tags", "item_year")
    assert schema.features_of("context") == ("context_day",)
    assert schema.dense_of("user", "item", "context") == ("context_price", "user_age", "item_image")
    rows = {"user": 4, "item": 5, "user_gender": 3, "item_tags": 4, "item_year": 3, "context_day": 3}
    assert {t.name: t.rows for t in schema.tables} == rows
    assert [f.name for f in schema.features if f.many] == ["item_tags"]


def test_scales_are_of_the_training_part_and_of_users_that_train(prepared, events):
    def scale(fitted, name):
        return fitted.fitted[name].scale.center, fitted.fitted[name].scale.spread

    # the price of 100 and what is missing are not learnt from
    assert scale(prepared, "context_price") == (4.0, pytest.approx(DEVIATION))
    assert scale(prepared, "user_age") == (30.0, 10.0)
    only_a = Preparation.fit(events, np.array([False, True, False, False, False]))
    assert scale(only_a, "user_age") == (20.0, 1.0)


def test_log_by_hand(prepared, events):
    log = prepared.log(events)
    assert log.user_ids.tolist() == ["b", "a", "c"]
    assert log.user_rows.tolist() == [1, 2, 3]
    assert log.source_rows.tolist() == [2, 0, 1, 4, 3]
    assert log.items.tolist() == [2, 1, 2, 4, 3]  # 30, 10, 20 and 40 have the rows 1, 2, 3 and 4
    assert log.times.tolist() == [LATE + 1, LATE + 5, LATE, LATE, LATE + 2]
    assert log.ratings.tolist() == [2, 4, 3, 5, 1]
    assert log.context["context_day"].tolist() == [1, 1, 2, 0, 0]
    prices = log.context["context_price"][:, 0] * DEVIATION
    np.testing.assert_allclose(prices, [0, -2, 0, 96, 2], rtol=1e-6)


def test_side_features_by_hand(prepared):
    """Row 0 stands for unknown ids; c and 40 have a row, but are in no side table."""
    user, item = prepared.sides["user"], prepared.sides["item"]
    assert user.ids("user_gender", np.arange(4))[0].tolist() == [0, 2, 1, 0]  # unknown, b, a, c
    assert user.dense["user_age"][:, 0].tolist() == [0, 1, -1, 0]
    values, lengths = item.ids("item_tags", np.array([3, 0, 1, 2, 4, 3]))
    parts = np.split(values, np.cumsum(lengths)[:-1])
    assert [part.tolist() for part in parts] == [[1, 2], [0], [2, 3], [0], [0], [1, 2]]
    assert item.ids("item_year", np.arange(5))[0].tolist() == [0, 1, 1, 2, 0]
    images = item.dense["item_image"] * np.sqrt(8 / 9)  # of three, two of which are alike
    np.testing.assert_allclose(images[:, 0], np.array([0, -2, -2, 4, 0]) / 3, atol=1e-6)


def test_later_events_know_new_users_by_their_history_alone(prepared):
    later = pd.DataFrame({
        "user": ["new", "a", "new"], "item": [10, 77, 30], "timestamp": [LATE + 9, LATE + 8, LATE + 7],
        "day": ["Wed", "Sun", "Tue"], "price": [4.0, np.inf, 4.0],
    })  # fmt: skip
    log = prepared.log(read_events(later, context=["day", "price"]))
    assert log.user_rows.tolist() == [0, 2]
    assert log.items.tolist() == [1, 2, 0]
    assert log.context["context_day"].tolist() == [0, 0, 2]
    assert log.context["context_price"].tolist() == [[0], [0], [0]]
    assert log.ratings is None
    with pytest.raises(InputError, match="lack the column 'price' that the model reads as context; they hav"):
        prepared.log(read_events(later.drop(columns="price"), context=["day"]))


def test_min_count_counts_events_and_sends_rare_items_to_row_0(events):
    prepared = Preparation.fit(events, TRAINING, min_count=2)
    assert prepared.vocabularies["item"].index.tolist() == [10]
    assert prepared.log(events).items.tolist() == [1, 0, 1, 0, 0]
    assert prepared.sides["item"].ids("item_year", np.arange(2))[0].tolist() == [0, 1]
    with pytest.raises(InputError, match="min_count=3 leaves no item; the most frequent one has 2 events"):
        Preparation.fit(events, TRAINING, min_count=3)


def test_ids_of_side_tables_get_rows_behind_those_of_events_where_the_catalogue_is_all(events):
    everything = Preparation.fit(replace(events, catalogue="all"), TRAINING, min_count=2)
    # 20 has one event: it is rarer than min_count, whatever the side table holds
    assert everything.vocabularies["item"].index.tolist() == [10, 9]
    assert everything.vocabularies["user"].index.tolist() == ["b", "a", "c", "d"]
    assert everything.trained.catalogue.tolist() == [1, 2]
    assert everything.trained.or_unknown("item", np.array([1, 2])).tolist() == [1, 0]
    assert everything.sides["item"].ids("item_year", np.arange(3))[0].tolist() == [0, 1, 0]  # 1970 is new


def test_columns_of_side_tables_keep_their_kind():
    """A list column is known by its first list; a user without a row does not turn integers into floats."""
    users = pd.DataFrame({"user": [1, 2], "likes": [None, ["x", "y"]], "city": [2**60 + 1, 2**60]})
    events = read_events(pd.DataFrame({"user": [1, 2, 3], "item": [5, 5, 5]}), users=users)
    prepared = Preparation.fit(events, np.ones(3, bool))
    side, rows = prepared.sides["user"], np.arange(4)
    assert prepared.schema.feature("user_likes").many
    assert side.ids("user_likes", rows)[0].tolist() == [0, 0, 1, 2, 0]
    assert side.ids("user_city", rows)[0].tolist() == [0, 1, 2, 0]


def test_saved_and_loaded(prepared, events, tmp_path):
    prepared.save(tmp_path / "new" / "folder")
    again = Preparation.load(tmp_path / "new" / "folder")
    assert again.schema == prepared.schema
    for name, fitted in prepared.fitted.items():
        assert to_json(again.fitted[name]) == to_json(fitted)
    for name, vocabulary in prepared.vocabularies.items():
        assert again.vocabularies[name].index.tolist() == vocabulary.index.tolist()
    for entity, side in prepared.sides.items():
        for kind in ("dense", "categorical"):
            mine, theirs = getattr(side, kind), getattr(again.sides[entity], kind)
            assert {n: c.tolist() for n, c in theirs.items()} == {n: c.tolist() for n, c in mine.items()}
    assert again.log(events).items.tolist() == prepared.log(events).items.tolist()
    (tmp_path / "new" / "folder" / "offers_all.npy").unlink()  # which a run of an earlier release lacks
    older = Preparation.load(tmp_path / "new" / "folder").trained
    assert older.catalogue.tolist() == prepared.trained.catalogue.tolist() and not older.offers_all


def test_ids_are_found_whatever_their_kind_and_users_keep_one_kind():
    frame = pd.DataFrame({"user": [1, 2], "item": [5, 6]})
    numbers, words = read_events(frame), read_events(frame.astype(str))
    of_numbers, of_words = (Preparation.fit(events, np.ones(2, bool)) for events in (numbers, words))
    with pytest.raises(InputError, match=r"ids of users are strings \(such as '1'\), but were integers"):
        of_numbers.log(words)
    log = of_words.log(numbers)
    assert (log.user_ids.tolist(), log.user_rows.tolist(), log.items.tolist()) == (["1", "2"], [1, 2], [1, 2])
    assert of_numbers.log(read_events(frame.astype({"item": str}))).items.tolist() == [1, 2]
