"""Words: one value, one code, whatever block or kind of table it comes from."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torchrec_ext.data.reading.words import Words, settle
from torchrec_ext.errors import InputError


def test_codes_count_in_order_of_first_appearance_over_blocks():
    words = Words("column 'item'")
    assert words.add(pa.array(["b", "a", None, "b"]), text=True).tolist() == [0, 1, -1, 0]
    assert words.add(pa.nulls(2), text=False).tolist() == [-1, -1]
    assert words.add(pa.array(["c", "a"]), text=False).tolist() == [2, 1]
    assert words.add(pa.array([], pa.string()), text=True).tolist() == []
    assert len(words) == 3 and words.finish().tolist() == ["b", "a", "c"]


def test_integers_and_words_written_alike_are_one_value():
    words = Words("column 'item'")
    assert words.add(pa.array([7, -3]), text=False).tolist() == [0, 1]
    assert words.add(pa.array(["-3", "12", "7"]), text=True).tolist() == [1, 2, 0]
    assert words.finish().tolist() == [7, -3, 12] and words.finish().dtype == np.int64


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([(pa.array([7]), False), (pa.array(["x"]), False)], "holds integers (7) and strings ('x')"),
        ([(pa.array(["07", "8"]), True), (pa.array([7]), False)], "holds integers (7) and strings ('07')"),
    ],
)
def test_two_kinds_are_refused(blocks, said):
    words = Words("column 'item' of a")
    for values, text in blocks:
        words.add(values, text)
    with pytest.raises(InputError) as caught:
        words.finish()
    assert said in str(caught.value) and "column 'item' of a" in str(caught.value)


def test_what_writes_no_word_is_refused():
    with pytest.raises(InputError, match="values of type struct<a: int64>, of which no category can be made"):
        Words("column 'x'").add(pa.array([{"a": 1}]), text=False)


@pytest.mark.parametrize(
    ("others", "kind"),
    [(["1", "x"], "str"), (["1", "01"], "str"), (["1", "3"], "int64"), ([], "int64")],
)
def test_columns_of_one_entity_become_one_kind(others, kind):
    events, side = Words("events"), Words("side")
    events.add(pa.array(["2", "1"]), text=True)
    side.add(pa.array(others, pa.string()), text=True)
    settle([events, side])
    assert events.finish().tolist() == ([2, 1] if kind == "int64" else ["2", "1"])
    assert side.finish().tolist() == ([int(o) for o in others] if kind == "int64" else others)


BLOCKS = st.lists(st.lists(st.none() | st.text(max_size=2), max_size=5), max_size=5)


@given(blocks=BLOCKS)
def test_words_of_codes_are_the_values(blocks):
    words = Words("x")
    codes = [words.add(pa.array(block, pa.string()), text=False) for block in blocks]
    found = pd.Index([*words.finish(), None], dtype=object)[np.concatenate([np.zeros(0, int), *codes])]
    assert list(found) == [value for block in blocks for value in block]
