"""SideFeatures: columns of a side table laid along the rows of a vocabulary."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Category, Number
from torchrec_ext.data.side_features import SideFeatures
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.schema import DenseFeature, Feature, Schema, Table

SCHEMA = Schema(
    (Table("user", 1), Table("item", 1), Table("item_maker", 1), Table("item_tags", 1)),
    (
        Feature("user", "user", "user", "user"),
        Feature("item", "item", "item", "item"),
        Feature("item_maker", "item_maker", "item", "maker"),
        Feature("item_tags", "item_tags", "item", "tags", many=True),
    ),
    (DenseFeature("item_price", "item", "price"),),
)
ITEMS = Vocabulary([10, 20, 30, 40])  # rows 1 to 4
FITTED = {
    "item_maker": Category().fit(pa.array(["x", "y"])),
    "item_tags": Category().fit(pa.array(["p", "q", "r"])),
    "item_price": Number().fit([3.0, 7.0]),  # mean 5, deviation 2
}


def fit(table):
    return SideFeatures.fit("item", table, ITEMS, SCHEMA, FITTED)


def lists(side, feature, rows):
    values, lengths = side.ids(feature, np.array(rows))
    return [part.tolist() for part in np.split(values, np.cumsum(lengths)[:-1])]


@pytest.fixture
def side():
    """Item 40 is not in the table, item 99 is no item, item 20 stands twice."""
    table = pd.DataFrame({
        "item": [30, 20, 99, 10, 20],
        "maker": ["y", "x", "x", None, "y"],
        "tags": [["r", "p"], None, ["p"], [], ["q"]],
        "price": [9.0, np.nan, 100.0, 4.0, 7.0],
    })  # fmt: skip
    return fit(table)


def test_each_row_has_the_features_of_its_id(side):
    assert lists(side, "item_maker", [3, 2]) == [[2], [1]]  # of two rows of item 20 the first
    assert lists(side, "item_tags", [3, 3]) == [[3, 1], [3, 1]]
    assert side.dense["item_price"][[3, 1]].tolist() == [[2.0], [-0.5]]


def test_what_is_not_there_is_unknown(side):
    # row 0 stands for unknown items, row 4 for one that the table lacks
    for row in (0, 4):
        assert lists(side, "item_maker", [row]) == [[0]]
        assert lists(side, "item_tags", [row]) == [[0]]
        assert side.dense["item_price"][row] == 0
    assert lists(side, "item_maker", [1]) == [[0]]  # a missing value
    assert lists(side, "item_tags", [2, 1]) == [[0], [0]]  # a missing list, an empty one
    assert side.dense["item_price"][2] == 0  # NaN: the mean


def test_values_that_the_vocabulary_lacks_are_unknown():
    side = fit(pd.DataFrame({"item": [10], "maker": ["z"], "tags": [["q", "z"]], "price": [5.0]}))
    assert (lists(side, "item_maker", [1]), lists(side, "item_tags", [1])) == ([[0]], [[2, 0]])


def test_an_entity_without_features_has_none(tmp_path):
    SideFeatures.fit("user", None, Vocabulary([1]), SCHEMA, {}).save(tmp_path / "side.parquet")
    again = SideFeatures.load(tmp_path / "side.parquet")
    assert (again.categorical, again.dense) == ({}, {})


def test_saved_and_loaded(side, tmp_path):
    side.save(tmp_path / "side.parquet")
    again = SideFeatures.load(tmp_path / "side.parquet")
    assert again.categorical.keys() == side.categorical.keys()
    for feature in side.categorical:
        assert lists(again, feature, [4, 3, 2, 1, 0]) == lists(side, feature, [4, 3, 2, 1, 0])
        assert again.ids(feature, np.array([3]))[0].dtype == np.int64
    assert again.dense["item_price"].tolist() == side.dense["item_price"].tolist()
    assert again.dense["item_price"].dtype == np.float32
