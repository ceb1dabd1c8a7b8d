"""What a column becomes, block by block."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data.coded import Coded, CodedLists
from torchrec_ext.data.reading.accumulate import accumulator
from torchrec_ext.data.sources.column_spec import ColumnSpec as Column
from torchrec_ext.errors import InputError

NONE = [np.nan, np.nan]


def column(kind, *blocks, text=False, path=None, **settings):
    """The column of blocks; a number stands for so many rows of a table without the column."""
    taking = accumulator(Column("x", "x", kind, **settings), "column 'x' of a", path)
    for block in blocks:
        if isinstance(block, int):
            taking.skip(block)
        else:
            taking.add(block, text)
    return taking.finish()


def test_numbers_and_times():
    np.testing.assert_array_equal(column("number", pa.array([1.0, None]), 1), [1, np.nan, np.nan])
    times = column("time", pa.array([1.0]), pa.array([2.0]))
    assert times.tolist() == [1, 2] and times.dtype == np.int64
    assert column("time", pa.array([1.0, 2.5])).tolist() == [1.0, 2.5]
    np.testing.assert_array_equal(column("time", pa.array([1.0, None])), [1, np.nan])


def test_vectors_and_lists_where_some_are_missing():
    two = pa.list_(pa.float32(), 2)
    vectors = column("vector", pa.array([[1, 2], None], two), 1, pa.array([[3, 4]], two), width=2)
    np.testing.assert_array_equal(vectors, [[1, 2], [np.nan] * 2, [np.nan] * 2, [3, 4]])
    lists = column("categories", pa.array([["a", "b"], None, []]), 2, pa.array([["b", None]]))
    assert isinstance(lists, CodedLists)
    assert lists.series().tolist() == [["a", "b"], [], [], [], [], ["b"]]
    assert list(lists.values.words) == ["a", "b"]


def test_slices_of_arrow_arrays_count_their_own_values():
    lists = pa.array([["a"], ["b", "c"], None, ["d"]]).slice(1, 3)
    assert column("auto", lists).series().tolist() == [["b", "c"], [], ["d"]]
    vectors = pa.array([[1.0], [2.0], None, [3.0]]).slice(1, 3)
    np.testing.assert_array_equal(column("auto", vectors), [[2], [np.nan], [3]])


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([pa.array([1.5, None])], [1.5, np.nan]),
        ([pa.nulls(1), 1, pa.array([2.0]), pa.nulls(1)], [np.nan, np.nan, 2, np.nan]),
        ([pa.array([[1.0, 2.0], None, []]), pa.array([[3.0, 4.0]])], [[1, 2], NONE, NONE, [3, 4]]),
        ([pa.array([[], None], pa.list_(pa.float64())), pa.array([[5.0]])], [[np.nan], [np.nan], [5]]),
    ],
)  # fmt: skip
def test_undeclared_floats_and_lists_of_them_become_numbers(blocks, expected):
    np.testing.assert_array_equal(column("auto", *blocks), expected)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", None, "2.5"], [1, np.nan, 2.5]),
        (["1e3", "5"], [1000, 5]),
        (["-0.5", "0", "0.25"], [-0.5, 0, 0.25]),
        (["1", "2"], None),  # integers, which may be ids
        (["02139", "10001"], None),  # digits alone
        (["007", "1.5"], None),
        (["1.5", "inf"], None),
        (["1.5", "x"], None),
        (["0x1F", "1.5"], None),
        (["1_0", "1.5"], None),
        (["nan", "1.5"], None),
    ],
)
@pytest.mark.parametrize("text", [True, False])
def test_undeclared_words_become_numbers_where_text_writes_numbers_with_a_point(words, expected, text):
    found = column("auto", pa.array(words), text=text)
    if expected is not None and text:
        np.testing.assert_array_equal(found, expected)
    else:
        assert isinstance(found, Coded)
        written = [None if pd.isna(v) else str(v) for v in found.series()]
        assert written == words


def test_undeclared_integers_flags_and_nothing():
    assert column("auto", pa.array([3, None, 3])).words.tolist() == [3]
    assert column("auto", pa.array([True, False])).series().tolist() == ["true", "false"]
    assert column("auto", pa.array([[1, None], None])).series().tolist() == [[1], []]
    nothing = column("auto", pa.nulls(2), 1)
    assert nothing.codes.tolist() == [-1, -1, -1] and len(nothing.words) == 0


@pytest.mark.parametrize(
    ("blocks", "said"),
    [
        ([pa.array([1.5]), pa.array(["x"])], "holds values of type string beside others; declare its kind"),
        ([pa.array(["x"]), pa.array([["x"]])], "of type list<item: string> beside others"),
        (
            [pa.array([[1.0]]), pa.array([[1.0, 2.0]])],
            "of type list<item: double> beside others",
        ),
        ([pa.array([[1.0], [1.0, 2.0]])], "holds lists of 1 and of 2 numbers; declare the width"),
        ([pa.array([{"a": 1}])], "of which no category can be made"),
        ([pa.array([[[1]]])], "of which no category can be made"),
    ],
)
def test_undeclared_values_that_differ_or_are_nothing_are_refused(blocks, said):
    with pytest.raises(InputError) as caught:
        column("auto", *blocks)
    assert said in str(caught.value) and str(caught.value).startswith("column 'x' of a ")


@pytest.mark.parametrize("kind", ["number", "time", "vector", "categories", "category", "auto"])
def test_in_a_file_as_in_memory(tmp_path, kind):
    blocks = {
        "vector": [pa.array([[1.0, 2.0]], pa.list_(pa.float32(), 2)), 1],
        "categories": [pa.array([["a"]]), 1],
        "category": [pa.array(["a", None]), 1],
    }.get(kind, [pa.array([1.5, 2.5]), 1])
    width = {"width": 2} if kind == "vector" else {}
    one, other = (
        column(kind, *blocks, **width, path=path) for path in (None, tmp_path / "columns" / "x.npy")
    )
    assert (tmp_path / "columns" / "x.npy").is_file()
    if isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other)
        assert isinstance(other, np.memmap)
    else:
        assert one.series().equals(other.series())
