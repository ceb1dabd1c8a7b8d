"""Vector: vectors that are given, scaled and filled; values worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Vector
from torchrec_ext.errors import InputError

NAN = math.nan
VECTORS = np.array([[3, 4], [NAN, 5], [3, 8]], np.float32)  # mean (3, 6), deviations 0 and 2


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
    fitted = Vector(2, options.missing, indicator, options.scale).fit(VECTORS)
    found = fitted.transform(VECTORS)
    np.testing.assert_allclose(found[:, :2], expected, atol=1e-6)
    assert found[:, 2:].tolist() == [[0], [1], [0]] * indicator or not indicator
    assert found.shape == (3, fitted.width) == (3, 2 + indicator)
    assert (found.dtype, fitted.rows) == (np.float32, 0)


def test_zeros_of_unit_length_stay_zeros_and_small_vectors_do_not():
    fitted = Vector(2, scale="unit").fit(VECTORS)
    found = fitted.transform(np.array([[0, 0], [3e-30, 4e-30]]))
    np.testing.assert_allclose(found, [[0, 0], [0.6, 0.8]], atol=1e-6)


def test_what_float32_cannot_hold_is_cut_off_or_missing():
    fitted = Vector(1).fit(np.array([[0.0], [2e-30]]))
    largest = np.finfo(np.float32).max
    assert fitted.transform(np.array([[3e38], [-3e38], [1e300]])).tolist() == [[largest], [-largest], [0]]


@pytest.mark.parametrize("training", [np.empty((0, 2), np.float32), np.full((1, 2), NAN)])
def test_without_training_vectors_they_stay_as_they_are(training):
    assert Vector(2).fit(training).transform(np.array([[5, -1], [NAN, NAN]])).tolist() == [[5, -1], [0, 0]]


def test_more_vectors_than_are_taken_at_a_time():
    vectors = np.random.default_rng(0).normal(3, 2, (40_000, 2)).astype(np.float32)
    found = Vector(2).fit(vectors).transform(vectors)
    expected = (vectors - vectors.mean(0, np.float64)) / vectors.std(0, np.float64)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_columns_of_vectors():
    column = pa.array([[3, 4], None, [3, None], [3, 8]], pa.list_(pa.float32(), 2))
    assert Vector(2, scale="none").fit(column).transform(column).tolist() == [[3, 4], [3, 6], [3, 6], [3, 8]]


@pytest.mark.parametrize(
    "values",
    [
        np.ones((3, 4)),
        np.array([["a", "b"]]),
        np.ones(2),
        pa.array([[1, 2]]),
        pa.array(["a"]),
        pa.array([1.0, None]),
    ],
)
def test_what_is_not_a_vector_of_the_width_is_refused(values):
    with pytest.raises(InputError, match=r"vectors should be numbers of shape \(n, 2\), .* set Vector.width"):
        Vector(2).fit(values)
