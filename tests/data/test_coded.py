"""Coded: values as places of their words."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchrec_ext.data.coded import Coded, CodedLists, as_series, column_of, take
from torchrec_ext.errors import InputError

VALUES = st.lists(st.one_of(st.none(), st.sampled_from(["a", "b", "c"])), max_size=12)


@given(VALUES, st.data())
def test_values_come_back_and_used_words_alone_stay(values, data):
    coded = Coded.of(pd.Series(values, dtype=object))
    rows = np.array(
        data.draw(st.lists(st.integers(0, len(values) - 1), max_size=8)) if values else [], np.int64
    )
    taken = coded.take(rows)
    expected = [values[row] for row in rows]
    assert [None if pd.isna(v) else v for v in taken.series()] == expected
    used = taken.used()
    there = [v for v in expected if v is not None]
    assert list(used.words) == list(dict.fromkeys(there))
    assert [None if pd.isna(v) else v for v in used.series()] == expected
    assert dict(zip(used.words, used.counts(), strict=True)) == {v: there.count(v) for v in there}


def test_large_integers_beside_missing_ones_keep_every_digit():
    coded = Coded(np.array([0, -1], np.int32), pd.Index([2**60 + 1]))
    assert coded.series().dtype == "Int64" and coded.series()[0] == 2**60 + 1
    assert coded.take(np.array([True, False])).series().dtype == np.int64


@given(
    st.lists(st.one_of(st.none(), st.lists(st.sampled_from([1, 2, 3]), max_size=3)), min_size=1, max_size=8)
)
def test_lists_come_back_missing_ones_as_empty(lists):
    column = CodedLists.of(pd.Series(lists, dtype=object))
    assert column.series().tolist() == [values or [] for values in lists]
    assert len(column) == len(lists)
    mask = np.arange(len(lists)) % 2 == 0
    assert column.take(mask).series().tolist() == [values or [] for values in lists[::2]]


@pytest.mark.parametrize(
    ("column", "values", "lengths"),
    [
        ([["a", "b"], None, [], ["a"]], ["a", "b", "a"], [2, 0, 0, 1]),
        ([None, ("a",), np.array(["b", "c"], object)], ["a", "b", "c"], [0, 1, 2]),
        ([[1, None], [None], [3]], [1, 3], [1, 0, 1]),
        ([np.nan, [7]], [7], [0, 1]),
    ],
)
def test_lists_are_flattened_and_missing_ones_are_empty(column, values, lengths):
    found = CodedLists.of(pd.Series(column, dtype=object))
    assert found.values.series().tolist() == values
    assert np.diff(found.offsets).tolist() == lengths


@pytest.mark.parametrize("column", [[["a"], "b"], [["a", 1]], [["a"], {"b": 1}]])
def test_a_mixture_is_refused(column):
    with pytest.raises(InputError, match="column 'tags' should hold a list in each row"):
        CodedLists.of(pd.Series(column, name="tags"))


def test_the_kind_of_a_column_follows_its_values():
    assert isinstance(column_of(pd.Series([1.5, None])), np.ndarray)
    assert isinstance(column_of(pd.Series([1, 2])), Coded)
    assert isinstance(column_of(pd.Series([None, ["a"]])), CodedLists)
    vectors = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    assert as_series(take(vectors, np.array([1]))).tolist()[0].tolist() == [3.0, 4.0]
