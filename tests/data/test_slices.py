"""Slices: many slices of a column, by windows or by positions, in whatever way the column is kept."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.slices import Slices

COLUMN = np.arange(100, 120)


def read(slices, column=COLUMN):
    starts, ends = np.array(slices, np.int64).reshape(-1, 2).T
    return Slices(starts, ends).of(column).tolist()


def test_by_hand():
    assert read([(3, 5), (0, 2)]) == [103, 104, 100, 101]  # as long as each other
    assert read([(3, 5), (0, 1), (9, 11)]) == [103, 104, 100, 109, 110]  # about as long
    assert read([(3, 5), (0, 10), (7, 7)]) == [103, 104, *range(100, 110)]  # one far longer than the others
    assert read([(19, 20), (15, 18)]) == [119, 115, 116, 117]  # a window from 19 would pass the end
    assert read([(17, 20), (18, 20)]) == [117, 118, 119, 118, 119]
    assert read([(20, 20), (0, 0)]) == []
    assert read([]) == []


@settings(deadline=None)
@given(st.data(), st.sampled_from([np.int32, np.int64, np.float64]), st.integers(0, 30))
def test_what_is_read_is_what_pythons_slices_are(data, dtype, size):
    column = np.arange(size).astype(dtype)
    column.flags.writeable = False  # as one that is mapped from a file
    shortest = data.draw(st.integers(0, size))
    starts = data.draw(st.lists(st.integers(0, size - shortest), max_size=9))
    ends = [data.draw(st.integers(start + shortest, size)) for start in starts]
    found = Slices(np.array(starts, np.int64), np.array(ends, np.int64)).of(column)
    expected = [
        value for start, end in zip(starts, ends, strict=True) for value in column.tolist()[start:end]
    ]
    assert found.tolist() == expected
    assert found.dtype == dtype and found.flags.writeable
