"""Numeric features: mean 0 and deviation 1, and what is missing is the mean."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data.standardise import fit_scale, standardise
from torchrec_ext.errors import InputError


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1.0, 5.0], (3.0, 2.0)),
        ([np.nan, 1.0, np.inf, 5.0, -np.inf], (3.0, 2.0)),
        ([7.0, 7.0], (7.0, 1.0)),
        ([0.0], (0.0, 1.0)),
        ([np.nan], (0.0, 1.0)),
        ([], (0.0, 1.0)),
    ],
)
def test_scale_by_hand(values, scale):
    assert fit_scale(pd.Series(values, dtype=np.float64)) == scale


def test_rounding_is_no_deviation_but_small_numbers_are():
    assert fit_scale(pd.Series([0.1] * 3))[1] == 1.0  # their computed deviation is 1.4e-17
    assert fit_scale(pd.Series([1e-12, 3e-12]))[1] == pytest.approx(1e-12)


def test_standardised_by_hand():
    values = pd.Series([1.0, np.nan, np.inf, 9.0])
    found = standardise(values, (3.0, 2.0))
    assert found.tolist() == [-1, 0, 0, 3]
    assert found.dtype == np.float32


def test_large_numbers_keep_their_differences():
    # float32 counts seconds of our time in steps of 128
    times = pd.Series([1_600_000_000.0, 1_600_000_010.0])
    assert standardise(times, fit_scale(times)).tolist() == [-1, 1]


@pytest.mark.parametrize("dtype", ["Float64", "float32", "Int64", "int64"])
def test_every_dtype_of_numbers_will_do(dtype):
    assert standardise(pd.Series([1, 5], dtype=dtype), (3.0, 2.0)).tolist() == [-1, 1]
    if dtype in ("Float64", "Int64"):
        assert standardise(pd.Series([1, None], dtype=dtype), (3.0, 2.0)).tolist() == [-1, 0]


def test_words_are_refused():
    with pytest.raises(InputError, match="column 'price' should hold numbers, received .* such as 'dear'"):
        standardise(pd.Series(["dear"], name="price"), (0.0, 1.0))
