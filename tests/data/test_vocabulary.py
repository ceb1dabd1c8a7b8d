"""Vocabulary: ids come back as given, rows never move, row 0 is for what is unknown."""

import numpy as np
import pandas as pd
import pyarrow as pa
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
@given(ids=IDS, data=st.data())
def test_ids_come_back_from_rows_that_count_from_1_and_growing_moves_none(tmp_path_factory, ids, data):
    old = Vocabulary.fit(ids)
    distinct = list(dict.fromkeys(ids))
    assert len(old) == len(distinct) + 1
    assert old.rows(distinct).tolist() == list(range(1, len(distinct) + 1))
    assert old.ids(old.rows(ids)).tolist() == ids
    more = data.draw(st.lists(INTEGERS if ids and isinstance(ids[0], int) else WORDS))
    new = old.grow(more)
    assert new.rows(ids).tolist() == old.rows(ids).tolist()
    assert new.ids(new.rows(more)).tolist() == more
    assert len(new) == len(set(ids) | set(more)) + 1
    new.save(tmp_path_factory.getbasetemp() / "ids.parquet")
    again = Vocabulary.load(tmp_path_factory.getbasetemp() / "ids.parquet")
    assert (again.index.tolist(), again.integers) == (new.index.tolist(), new.integers)


BEYOND = 2**53 + 1  # which float64 takes for 2**53


@pytest.mark.parametrize(
    ("ids", "wanted", "rows"),
    [
        (["a", "b"], ["b", "z", None, "a"], [2, 0, 0, 1]),
        ([], ["a"], [0]),
        # integers however they are written
        ([196, 22], ["196", "22", "0196", "196.0", " 22", "+22", "", "x", None], [1, 2] + [0] * 7),
        ([196, 22], ["9223372036854775807", "9223372036854775808", "99999999999999999999"], [0, 0, 0]),
        ([196, 22], [196.0, 22.5, np.nan], [1, 0, 0]),
        ([196, 22], pd.Series(["22"], dtype="category"), [2]),
        (["7", "8"], [8, None], [2, 0]),
        (["7", "8"], pa.array(["8", None, "7"]).dictionary_encode(), [2, 0, 1]),
        # of more than 53 bits, beside missing ones too
        ([BEYOND, -(2**62) - 1], [str(BEYOND), str(-(2**62) - 1), None, str(2**53)], [1, 2, 0, 0]),
        ([2**53, BEYOND], [BEYOND, None, 2**53], [2, 0, 1]),
        ([2**53, BEYOND], pd.Series([BEYOND, None, 2**53], dtype="Int64"), [2, 0, 1]),
        ([2**53, BEYOND], pa.array([BEYOND, None, 2**53]), [2, 0, 1]),
        ([2**53, BEYOND, 7], [float(2**53), 7.0, np.nan, 7.5], [0, 3, 0, 0]),  # 2.0**53 may be several ids
    ],
)
def test_ids_are_found_however_they_are_written(ids, wanted, rows):
    assert Vocabulary(ids).rows(wanted).tolist() == rows


@pytest.mark.parametrize(
    ("refused", "match"),
    [
        (lambda: Vocabulary(["a", "b"]).ids(np.array([1, 0])), "row 0 has no id; rows of ids run from 1 to"),
        (lambda: Vocabulary(["a", "b", "a"]), "'a' stands twice"),
        (lambda: Vocabulary.fit([1, "a"]), "all integers or all strings, received int and str; use astype"),
        (lambda: Vocabulary.fit([1], min_count=0), "min_count should be at least 1, received 0"),
        (lambda: Vocabulary([1, 2]).grow(["a"]), "of the vocabulary's kind, such as 1; received 'a'"),
        (lambda: Vocabulary([7.5]), "ids must be integers or strings, received the float"),
    ],
)
def test_faults_are_told(refused, match):
    with pytest.raises(InputError, match=match):
        refused()
