"""Vocabulary: ids come back as given, rows never move, row 0 is for what is unknown."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

INTEGERS = st.integers(-(2**63), 2**63 - 1)
# pandas 2 takes a NUL for the end of a string when it looks for distinct ones
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4)
IDS = st.lists(INTEGERS) | st.lists(WORDS)


@settings(deadline=None)
@given(IDS)
def test_ids_come_back_as_given_from_rows_that_count_from_1(ids):
    vocabulary = Vocabulary.fit(ids)
    distinct = list(dict.fromkeys(ids))
    assert len(vocabulary) == len(distinct) + 1
    assert vocabulary.rows(distinct).tolist() == list(range(1, len(distinct) + 1))
    assert vocabulary.ids(vocabulary.rows(ids)).tolist() == ids


@settings(deadline=None)
@given(IDS, st.data())
def test_growing_moves_no_row(ids, data):
    more = data.draw(st.lists(INTEGERS if ids and isinstance(ids[0], int) else WORDS))
    if not ids:
        more = [word for word in more if isinstance(word, str)]
    old = Vocabulary.fit(ids)
    new = old.grow(more)
    assert new.rows(ids).tolist() == old.rows(ids).tolist()
    assert new.ids(new.rows(more)).tolist() == more
    assert len(new) == len(set(ids) | set(more)) + 1


def test_growing_twice_by_the_same_adds_nothing():
    assert Vocabulary([5, 3]).grow([3, 7]).grow([7, 5]).ids(np.array([1, 2, 3])).tolist() == [5, 3, 7]


@settings(deadline=None)
@given(st.lists(st.integers(0, 4)), st.integers(1, 4))
def test_min_count_keeps_what_stands_often_enough(ids, least):
    vocabulary = Vocabulary.fit(ids, min_count=least)
    kept = [i for i in dict.fromkeys(ids) if ids.count(i) >= least]
    assert vocabulary.index.tolist() == kept
    assert all((vocabulary.rows([i])[0] > 0) == (i in kept) for i in range(5))


def test_unknown_and_missing_ids_have_row_0():
    assert Vocabulary(["a", "b"]).rows(["b", "z", None, "a"]).tolist() == [2, 0, 0, 1]
    assert Vocabulary([7, 8]).rows([8, 9]).tolist() == [2, 0]
    assert Vocabulary([]).rows(["a"]).tolist() == [0]
    assert Vocabulary([7]).rows([]).tolist() == []


def test_missing_values_get_no_row():
    assert Vocabulary.fit(pd.Series(["a", None, "b", None])).index.tolist() == ["a", "b"]
    assert Vocabulary.fit(pd.Series([3, None, 3], dtype="Int64")).index.tolist() == [3]


def test_row_0_has_no_id():
    with pytest.raises(InputError, match="row 0 has no id; rows of ids run from 1 to 2"):
        Vocabulary(["a", "b"]).ids(np.array([1, 0]))


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        (["196", "22"], [1, 2]),
        (["0196", "196.0", " 22", "+22", "", "x", None], [0] * 7),
        (["9223372036854775807", "9223372036854775808", "99999999999999999999"], [0, 0, 0]),
        ([196.0, 22.5, np.nan], [1, 0, 0]),
        (pd.Series([22, None], dtype="Int64"), [2, 0]),
        (pd.Series([22, None, "196"], dtype=object), [2, 0, 1]),
        (pd.Series(["22"], dtype="category"), [2]),
        (np.array([196], dtype=np.uint8), [1]),
    ],
)
def test_integers_are_found_however_they_are_written(wanted, rows):
    assert Vocabulary([196, 22]).rows(wanted).tolist() == rows


def test_ids_of_19_digits_are_not_confused():
    near = [2**53, 2**53 + 1, 1234567890123456789, 1234567890123456788, -(2**62) - 1]
    vocabulary = Vocabulary(near)
    assert vocabulary.rows([str(i) for i in near]).tolist() == [1, 2, 3, 4, 5]
    assert vocabulary.rows([str(2**53 + 2), "1234567890123456790"]).tolist() == [0, 0]


def test_strings_are_found_by_integers_that_they_spell():
    assert Vocabulary(["7", "x"]).rows([7, 8]).tolist() == [1, 0]


@pytest.mark.parametrize("dtype", [object, "string", "category"])
def test_strings_of_every_dtype_are_alike(dtype):
    column = pd.Series(["b", "a", "b"], dtype=dtype)
    vocabulary = Vocabulary.fit(column)
    assert vocabulary.rows(column).tolist() == [1, 2, 1]
    assert vocabulary.ids(np.array([2, 1])).tolist() == ["a", "b"]


def test_integers_in_an_object_column_are_integers():
    vocabulary = Vocabulary.fit(pd.Series([5, None, 7], dtype=object))
    assert vocabulary.integers
    assert vocabulary.rows(pd.Series([7, 5])).tolist() == [2, 1]


def test_flags_are_ids_too():
    assert Vocabulary.fit(pd.Series([True, False, True])).rows([False, True]).tolist() == [2, 1]


def test_faults_are_told():
    with pytest.raises(InputError, match="'a' stands twice"):
        Vocabulary(["a", "b", "a"])
    with pytest.raises(InputError, match=r"all integers or all strings, received int and str; use astype"):
        Vocabulary.fit([1, "a"])
    with pytest.raises(InputError, match="min_count should be at least 1, received 0"):
        Vocabulary.fit([1], min_count=0)
    with pytest.raises(InputError, match="of the vocabulary's kind, such as 1; received 'a'"):
        Vocabulary([1, 2]).grow(["a"])


@pytest.mark.parametrize("ids", [[3, -1, 2**60], ["b", "007", "é", ""], []])
def test_saved_and_loaded(ids, tmp_path):
    vocabulary = Vocabulary(ids)
    vocabulary.save(tmp_path / "ids.parquet")
    again = Vocabulary.load(tmp_path / "ids.parquet")
    assert again.integers == vocabulary.integers
    assert again.index.tolist() == ids
    assert again.rows(ids).tolist() == list(range(1, len(ids) + 1))


BEYOND = 2**53 + 1
"""The first integer that float64 does not hold: it takes it for 2**53."""


@pytest.mark.parametrize(
    "wanted",
    [
        [BEYOND, None, 2**53],
        [BEYOND, np.nan, 2**53],
        [str(BEYOND), None, str(2**53)],
        pd.Series([BEYOND, None, 2**53], dtype=object),
        pd.Series([BEYOND, None, 2**53], dtype="Int64"),
    ],
)
def test_ids_beyond_53_bits_beside_missing_ones(wanted):
    assert Vocabulary([2**53, BEYOND]).rows(wanted).tolist() == [2, 0, 1]


def test_a_float_that_may_be_several_ids_is_none():
    assert Vocabulary([2**53, BEYOND, 7]).rows([float(2**53), 7.0, np.nan, 7.5]).tolist() == [0, 3, 0, 0]


def test_integers_beside_missing_ones_find_words():
    assert Vocabulary(["7", "8"]).rows([8, None]).tolist() == [2, 0]
    assert Vocabulary(["7", "8"]).rows(pd.Series([8.0, np.nan])).tolist() == [2, 0]


def test_fit_keeps_every_digit_beside_missing_ones():
    assert Vocabulary.fit([BEYOND, None, 2**53, BEYOND]).ids(np.array([1, 2])).tolist() == [BEYOND, 2**53]
    grown = Vocabulary([2**53]).grow([BEYOND, None])
    assert grown.ids(np.array([1, 2])).tolist() == [2**53, BEYOND]
    assert Vocabulary.fit(pd.Series([7.0, np.nan, 8.0])).ids(np.array([1, 2])).tolist() == [7, 8]


@pytest.mark.parametrize("ids", [[7.5], [2.0**53], [7.0, np.nan]])
def test_floats_that_stand_for_no_integer_are_refused(ids):
    with pytest.raises(InputError, match="ids must be integers or strings, received the float"):
        Vocabulary(ids)
