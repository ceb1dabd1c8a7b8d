"""Vector: vectors that are given, scaled, and what stands in for missing ones."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Vector, fit_vector
from torchrec_ext.data.features.vectors_of import vectors_of
from torchrec_ext.errors import InputError

NAN = math.nan
VECTORS = np.array([[3, 4], [NAN, NAN], [3, 8]], np.float32)  # mean (3, 6), deviations 0 and 2


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (Vector(2), [[0, -1], [0, 0], [0, 1]]),
        (Vector(2, "zero"), [[0, -1], [0, 0], [0, 1]]),
        (Vector(2, scale="none"), [[3, 4], [3, 6], [3, 8]]),
        (Vector(2, "zero", scale="none"), [[3, 4], [0, 0], [3, 8]]),
        (Vector(2, scale="unit"), [[0.6, 0.8], [1 / 5**0.5, 2 / 5**0.5], [3 / 73**0.5, 8 / 73**0.5]]),
        (Vector(2, "zero", scale="unit"), [[0.6, 0.8], [0, 0], [3 / 73**0.5, 8 / 73**0.5]]),
    ],
)
@pytest.mark.parametrize("indicator", [False, True])
def test_by_hand(options, expected, indicator):
    options = Vector(2, options.missing, indicator, options.scale)
    fitted = fit_vector(VECTORS, options)
    found = fitted.apply(VECTORS)
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-6)
    assert found[:, 2:].tolist() == [[0], [1], [0]] * indicator or not indicator
    assert found.shape == (3, fitted.width) == (3, 2 + indicator)
    assert found.dtype == np.float32
    assert fitted.rows == 0


def test_zeros_of_unit_length_stay_zeros_and_small_vectors_do_not():
    fitted = fit_vector(VECTORS, Vector(2, scale="unit"))
    np.testing.assert_allclose(fitted.apply([[0, 0], [3e-30, 4e-30]]), [[0, 0], [0.6, 0.8]], atol=1e-6)


def test_what_float32_cannot_hold_is_cut_off():
    fitted = fit_vector([[0.0], [2e-30]], Vector(1))
    assert fitted.apply([[3e38], [-3e38]]).tolist() == [
        [np.finfo(np.float32).max],
        [np.finfo(np.float32).min],
    ]


@pytest.mark.parametrize("training", [[], [None], np.empty((0, 2), np.float32), np.full((1, 2), NAN)])
def test_without_training_vectors_they_stay_as_they_are(training):
    fitted = fit_vector(training, Vector(2))
    assert fitted.apply([[5, -1], None]).tolist() == [[5, -1], [0, 0]]


def test_more_vectors_than_are_taken_at_a_time():
    vectors = np.random.default_rng(0).normal(3, 2, (40_000, 2)).astype(np.float32)
    found = fit_vector(vectors, Vector(2)).apply(vectors)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(found.std(axis=0), 1, atol=1e-4)
    np.testing.assert_allclose(
        found, (vectors - vectors.mean(0, np.float64)) / vectors.std(0, np.float64), atol=1e-4
    )


@pytest.mark.parametrize(
    "values",
    [
        [[1, 2], None, [3, NAN]],
        [np.array([1, 2]), None, np.array([3, math.inf])],
        [(1, 2), None, (3, None)],
        pd.Series([[1, 2], None, [3, 1e300]], index=[5, 5, 5]),
        pd.Series([[1, 2], None, [3, None]], dtype=pd.ArrowDtype(pa.list_(pa.float32()))),
        pd.Series([[1, 2], None, [3, None]], dtype=pd.ArrowDtype(pa.list_(pa.float64(), 2))),
        np.array([[1, 2], [NAN, 0], [3, 1e300]]),
    ],
)
def test_vectors_of_every_type_a_missing_number_taking_all(values):
    found = vectors_of(values, 2)
    np.testing.assert_array_equal(found, [[1, 2], [NAN, NAN], [NAN, NAN]])
    assert found.dtype == np.float32


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((3, 4)), r"shape \(n, 2\), received float64 of shape \(3, 4\); set Vector.width"),
        (np.array([["a", "b"]]), r"vectors should be numbers of shape \(n, 2\)"),
        ([[1, 2], [1, 2, 3]], "vectors should have 2 numbers each, received one of 3"),
        ([1.0, 2.0], "a list of 2 numbers in each row, received double"),
        ([[1, 2], 3], "a list of 2 numbers in each row"),
        ([["a", "b"]], "vectors should be lists of numbers"),
        ([[[1], [2]]], "vectors should be lists of numbers"),
    ],
)
def test_what_is_no_vector_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        fit_vector(values, Vector(2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "Vector.width should be an integer of 1 or more, received 0"),
        ({"width": 2, "missing": "median"}, "Vector.missing should be 'mean' or 'zero', received 'median'"),
        ({"width": 2, "scale": "units"}, "Vector.scale should be .*; did you mean 'unit'?"),
        ({"width": 2, "indicator": None}, "Vector.indicator should be true or false, received None"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(InputError, match=message):
        Vector(**options)
