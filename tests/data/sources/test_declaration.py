"""Declarations of data sets: what cannot be is refused where it is declared."""

import pandas as pd
import pytest

from tests.data.sources.tables import refused
from torchrec_ext.data.features import Category, Number
from torchrec_ext.data.sources.declaration import Declaration, TableFile, declared_features
from torchrec_ext.data.sources.find_declaration import find_declaration
from torchrec_ext.errors import InputError

TABLE = TableFile(pd.DataFrame({"user": [1], "item": [2]}))
TEXT = {"delimiter": ";", "decimal": ",", "quote": None, "encoding": "latin-1"}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"format": "cvs"}, "TableFile.format should be 'csv', .*, received 'cvs'; did you mean 'csv'?"),
        ({"delimiter": ""}, "delimiter should have at least 1 character, received ''"),
        ({"delimiter": "::::é"}, "delimiter should have at most 4 bytes, received '::::é'"),
        ({"header": "user"}, "header should be True or a list, received 'user'"),
        ({"decimal": ";"}, "decimal should be '.' or ',', received ';'"),
        ({"quote": "''"}, "quote should have at most 1 character"),
        ({"colums": {}}, "TableFile has no option 'colums'; it has .*; did you mean 'columns'?"),
        ({"events": ()}, "mine declares no table of events"),
        ({"events": ["a.csv"]}, "events.0 should be an instance of TableFile, received 'a.csv'"),
        ({"events": (TableFile("a.csv", gather=True),)}, "which is for side tables"),
        ({"users": (TableFile("a.csv", type="view"),)}, "has a type, which is for tables of events"),
        ({"weights": {"view": -1, "buy": -1}}, "weights.view should be greater than or equal to 0, rec"),
        ({"order": "tim"}, "received 'tim'; did you mean 'time'?"),
        ({"features": {"items": {}}}, "should be 'user', 'item' or 'context', received 'items'; did you"),
    ],
)
def test_a_table_and_a_data_set_declare_what_can_be(wrong, expected):
    of_a_set = wrong.keys() <= {"events", "users", "weights", "order", "features"}
    with pytest.raises(InputError, match=expected) as caught:
        Declaration("mine", **{"events": (TABLE,), **wrong}) if of_a_set else TableFile("a.csv", **wrong)
    assert "\n" not in str(caught.value)


def test_features_are_names_or_names_with_options():
    assert declared_features(["a", "b"], "item feature") == {"a": None, "b": None}
    given = {"a": {}, "b": None, "c": {"kind": "number", "scale": "quantile"}, "d": Category(hash=9)}
    assert declared_features(given, "item feature") == {
        "a": None, "b": None, "c": Number(scale="quantile"), "d": Category(hash=9),
    }  # fmt: skip
    for wrong, expected in [
        ("price", "item features should be a list of names, received 'price'"),
        ({"a": {"kind": "nomber"}}, "item feature 'a': .*did you mean 'number'?"),
        ({"a": {"kind": "number", "mising": "mean"}}, "item feature 'a': .* has no option 'mising'"),
        ({"a": 5}, "item feature 'a': .*received 5"),
    ]:
        with pytest.raises(InputError, match=expected):
            declared_features(wrong, "item feature")


def test_settings_of_text_hold_for_the_files_of_a_call_and_names_for_events_alone():
    found = find_declaration("a.csv", items="b.csv", header=["user", "item"], **TEXT)
    assert found.events[0].header == ("user", "item") and found.items[0].header is True
    for table in (*found.events, *found.items):
        assert {name: getattr(table, name) for name in TEXT} == TEXT
    # settings that say nothing are refused, what is usual is not
    assert find_declaration([TABLE], quote='"', header=True).events == (TABLE,)
    assert "format means nothing for a DataFrame" in refused(TABLE.source, format="csv")
    declared = Declaration("mine", [TABLE])
    assert "encoding means nothing for a Declaration" in refused(declared, encoding="utf-16")
