"""Category: rows by a vocabulary or a hash, and what stands in for missing values."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data.features import Category, HashedVocabulary, fit_category
from torchrec_ext.data.features.category_ids import as_ids, filled
from torchrec_ext.data.vocabulary import Vocabulary
from torchrec_ext.errors import InputError

TRAINING = ["b", "a", None, "c", "a"]  # rows 1, 2, -, 3, 2


@pytest.mark.parametrize(
    ("options", "training", "rows"),
    [
        (Category(), TRAINING, [2, 0, 0, 1]),
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
def test_rows_by_hand(options, training, rows):
    fitted = fit_category(training, options)
    found = fitted.apply(["a", "z", None, "b"])
    assert found.tolist() == rows
    assert found.dtype == np.int64


def test_row_0_counts_and_no_number_comes_out():
    fitted = fit_category(TRAINING, Category())
    assert (fitted.rows, fitted.width) == (4, 0)
    assert fit_category([], Category()).rows == 1
    assert fit_category(TRAINING, Category(hash=9)).rows == 10


def test_drop_alone_leaves_rows_out():
    assert fit_category(TRAINING, Category("drop")).kept(["z", None, "a"]).tolist() == [True, False, True]
    for options in (Category(), Category("most_frequent"), Category("constant", fill="a")):
        assert fit_category(TRAINING, options).kept([None]).tolist() == [True]


def test_a_vocabulary_that_is_given_is_taken():
    fitted = fit_category(["b"], Category("most_frequent"), Vocabulary(["x", "b"]))
    assert fitted.apply(["x", None]).tolist() == [1, 2]
    assert fitted.rows == 3


def test_a_constant_word_may_stand_among_integers():
    fitted = fit_category([7, None, 9], Category("constant", fill="none"))
    assert fitted.apply([7, None, 9]).tolist() == [1, 3, 2]
    assert fitted.apply([9]).tolist() == [2]
    fitted = fit_category([7, 9], Category("constant", fill="none"))
    assert fitted.apply([9, None, 7]).tolist() == [2, 0, 1]
    fitted = fit_category(["7", None], Category("constant", fill=7))
    assert fitted.apply([None, "7"]).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ([7.0, None, 9.0], [7, None, 9]),
        ([True, None, False], [1, None, 0]),
        (pd.Series([True, False]), [1, 0]),
        (pd.Series([7, None], dtype="Int64"), [7, None]),
        (pd.Series([7, None, 7], dtype="category"), [7, None, 7]),
        (pd.Series(["b", None, "b"], dtype="category"), ["b", None, "b"]),
        (pd.Series(["b", None], dtype="string"), ["b", None]),
        (pd.Series(["b"], dtype="category", index=[5]), ["b"]),
        (np.array([3], np.uint8), [3]),
        (["a", 7, None], ["a", "7", None]),
        ([None, None], [None, None]),
        ([], []),
        ([2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
    ],
)
def test_ids_of_every_type(values, ids):
    found = as_ids(values)
    assert [None if missing else i for i, missing in zip(found, found.isna(), strict=True)] == ids


def test_19_digits_survive_a_missing_value():
    ids = [1234567890123456789, None]
    assert as_ids(ids)[0] == ids[0]
    assert fit_category(ids, Category()).most_frequent == ids[0]
    assert filled(as_ids(ids), 3).tolist() == [ids[0], 3]


def test_categories_that_training_does_not_hold_decide_nothing():
    everything = pd.Series([3, 5, "x"], dtype="category")
    fitted = fit_category(everything[:2], Category())
    assert fitted.vocabulary.integers
    assert fitted.rows == 3


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([7.5, None], "integers beyond 64 bits or fractions such as 7.5"),
        ([2**63], "such as 9223372036854775808"),
        ([["a"]], r"mixed such as \['a'\]"),
        ([7, ["a"]], "mixed-integer such as 7"),
        (pd.Series(pd.to_datetime(["2020-01-01"])), "datetime64 such as Timestamp"),
    ],
)
def test_what_is_no_id_is_refused(values, kind):
    with pytest.raises(InputError, match=f"column 'maker' holds .*{kind}.*; a category should be integers"):
        fit_category(pd.Series(values, name="maker"), Category())


# Hashing


def test_hashed_rows_are_these_in_every_process_and_release():
    words = ["a", 7, "7", None, "é", "a\0b", "a\0c", ""]
    assert HashedVocabulary(1000).rows(words).tolist() == [505, 353, 353, 0, 864, 167, 752, 775]


def test_hashed_rows_are_alike_in_another_process():
    code = (
        "from torchrec_ext.data.features import HashedVocabulary as H;"
        "print(H(10**6).rows(list('abcdef')).tolist())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(HashedVocabulary(10**6).rows(list("abcdef")).tolist())


def test_hashed_rows_are_spread_from_1_on():
    rows = HashedVocabulary(50).rows(np.arange(5000))
    counts = np.bincount(rows, minlength=51)
    assert len(counts) == 51
    assert counts[0] == 0
    assert counts[1:].min() > 60  # 100 each, with a deviation of 10
    assert counts[1:].max() < 140


def test_hashed_category():
    fitted = fit_category(["a", "a", "b"], Category("most_frequent", hash=1000))
    assert fitted.apply(["a", None, "7"]).tolist() == [505, 505, 353]
    assert fit_category([], Category(hash=1)).apply(["a", None]).tolist() == [1, 0]
    with pytest.raises(InputError, match="Category.hash=5 keeps no vocabulary, received one"):
        fit_category(["a"], Category(hash=5), Vocabulary(["a"]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "unknwon"}, "Category.missing should be .*; did you mean 'unknown'?"),
        ({"missing": "mean"}, "Category.missing should be 'unknown' or 'drop' .* received 'mean'"),
        ({"missing": "constant"}, "Category.missing='constant' needs a value; set fill too"),
        ({"fill": "x"}, "Category.fill='x' has no effect with missing='unknown'"),
        ({"missing": "constant", "fill": 1.5}, "Category.fill should be a string or an integer, or nothing"),
        ({"min_count": 0}, "Category.min_count should be an integer of 1 or more, received 0"),
        ({"min_count": True}, "Category.min_count should be an integer of 1 or more, received True"),
        ({"hash": 0}, "Category.hash should be an integer of 1 or more, or nothing, received 0"),
        ({"hash": 9, "min_count": 2}, "Category.min_count=2 has no effect with hash"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(InputError, match=message):
        Category(**options)
