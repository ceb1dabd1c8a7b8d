"""Category: rows by a vocabulary or a hash, and what stands in for missing values."""

import numpy as np
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Category
from torchrec_ext.errors import InputError

TRAINING = ["b", "a", None, "c", "a"]  # rows 1, 2, -, 3, 2


def rows(options, training, values):
    return options.fit(pa.array(training, pa.string())).transform(pa.array(values)).tolist()


@pytest.mark.parametrize(
    ("options", "training", "expected"),
    [
        (Category("drop"), TRAINING, [2, 0, 0, 1]),
        (Category("most_frequent"), TRAINING, [2, 0, 2, 1]),
        (Category("most_frequent"), ["b", "a", "a", "b"], [2, 0, 1, 1]),  # the first to come
        (Category("most_frequent"), [None, None], [0, 0, 0, 0]),
        (Category("constant", fill="?"), TRAINING, [2, 0, 4, 1]),  # rows b, a, c, ?
        (Category("constant", fill="a"), TRAINING, [2, 0, 2, 1]),
        (Category("constant", fill="?"), ["b", "a"], [2, 0, 0, 1]),  # not in training
        (Category(min_count=2), TRAINING, [1, 0, 0, 0]),
        (Category(), [], [0, 0, 0, 0]),
    ],
)
def test_rows_by_hand(options, training, expected):
    assert rows(options, training, ["a", "z", None, "b"]) == expected


def test_a_constant_word_may_stand_among_integers():
    for training, missing in (([7, None, 9], 3), ([7, 9], 0)):
        fitted = Category("constant", fill="none").fit(pa.array(training))
        assert fitted.transform(pa.array([9, None, 7])).tolist() == [2, missing, 1]
    assert rows(Category("constant", fill=7), ["7", None], [None, "7"]) == [1, 1]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (pa.array([7.0, None, 9.0]), [7, 9]),
        (pa.array(np.array([7.0, np.nan])), [7]),
        (pa.array([True, None, False]), [1, 0]),
        (pa.array([7, None, 7]).dictionary_encode(), [7]),
        (pa.array([3, 5, 8]).dictionary_encode()[:2], [3, 5]),  # 8 is not in training
        (pa.array([3], pa.uint8()), [3]),
        (pa.array([None, None]), []),
        (pa.array([2**63 - 1, -(2**63), None]), [2**63 - 1, -(2**63)]),
    ],
)
def test_ids_of_every_type(values, ids):
    fitted = Category().fit(values)
    assert fitted.vocabulary.index.tolist() == ids and fitted.rows == len(ids) + 1
    assert fitted.most_frequent == (ids[0] if ids else None)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([7.5, None]), "truncated"),
        (pa.array([2**63], pa.uint64()), "9223372036854775808"),
        (pa.array([[0.5]], pa.list_(pa.float64(), 1)), "received fixed_size_list"),
        (pa.array([np.datetime64(1, "s")]), "received timestamp"),
    ],
)
def test_what_is_not_an_id_is_refused(values, reason):
    with pytest.raises(InputError, match=f"a category should hold integers or strings.*{reason}"):
        Category().fit(values)


def test_hashed_rows_are_these_in_every_process_and_release():
    fitted = Category(hash=1000).fit(pa.array([], pa.string()))
    words = pa.array(["a", "7", None, "é", "a\0b", "a\0c", ""])
    assert fitted.transform(words).tolist() == [505, 353, 0, 864, 167, 752, 775]
    assert fitted.transform(pa.array([7])).tolist() == [353]
    assert rows(Category("most_frequent", hash=1000), ["a", "a", "b"], [None]) == [505]


def test_hashed_rows_are_spread_from_1_on():
    values = pa.array(np.arange(5000))
    fitted = Category(hash=50).fit(values)
    counts = np.bincount(fitted.transform(values), minlength=51)
    assert len(counts) == fitted.rows == 51 and counts[0] == 0
    assert 60 < counts[1:].min() <= counts[1:].max() < 140  # 100 each, with a deviation of 10
