"""Declarations of data sets: what cannot be is refused where it is declared."""

import pandas as pd
import pytest

from torchrec_ext.data.features import Category, Number
from torchrec_ext.data.sources.declaration import Declaration, TableFile, declared_features
from torchrec_ext.errors import InputError

TABLE = TableFile(pd.DataFrame({"user": [1], "item": [2]}))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"format": 5}, "format of a.csv should be a string, or nothing, received 5"),
        ({"delimiter": ""}, "delimiter of a.csv should be a string, or nothing, received ''"),
        ({"header": "user"}, "header of a.csv should be a list of strings, or nothing, received 'user'"),
        ({"type": 1}, "type of a.csv should be a string"),
        ({"gather": "yes"}, "gather of a.csv should be true or false, received 'yes'"),
        ({"columns": "user"}, "columns of a.csv should be our names with the table's"),
    ],
)
def test_a_table_declares_words(wrong, said):
    with pytest.raises(InputError) as caught:
        TableFile("a.csv", **wrong)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"events": ()}, "mine declares no table of events"),
        ({"events": (TableFile("a.csv", gather=True),)}, "which is for side tables"),
        ({"users": (TableFile("a.csv", type="view"),)}, "has the type 'view', which is for events"),
        (
            {"weights": {"view": "x"}},
            "weight of 'view' of mine should be a number of 0 or more",
        ),
        ({"itemless": "search"}, "itemless of mine should be a list of strings, received 'search'"),
        ({"order": "tim"}, "received 'tim'; did you mean 'time'?"),
        ({"max_bad_share": 1.5}, "max_bad_share of mine should be a share from 0 to 1, received 1.5"),
    ],
)
def test_a_data_set_declares_what_can_be(wrong, said):
    with pytest.raises(InputError) as caught:
        Declaration("mine", **{"events": (TABLE,), **wrong})
    assert said in str(caught.value) and "\n" not in str(caught.value)


def test_features_are_names_or_names_with_options():
    assert declared_features(None, "item feature") is None
    assert declared_features(["a", "b"], "item feature") == {"a": None, "b": None}
    told = {"a": {}, "b": None, "c": {"kind": "number", "scale": "quantile"}, "d": Category(hash=9)}
    assert declared_features(told, "item feature") == {
        "a": None, "b": None, "c": Number(scale="quantile"), "d": Category(hash=9),
    }  # fmt: skip
    for wrong, said in [
        ("price", "item features must be a list of names, received the string 'price'"),
        (
            {"a": {"kind": "nomber"}},
            "item feature 'a': kind of a feature .* did you mean 'number'?",
        ),
        ({"a": {"kind": "number", "mising": "mean"}}, "item feature 'a': number has no option 'mising'"),
        ({"a": 5}, "item feature 'a': a feature should be a table of names and values, received 5"),
        ({"a": False}, "item feature 'a': a feature should be a table"),
    ]:
        with pytest.raises(InputError, match=said):
            declared_features(wrong, "item feature")
