"""Vector: vectors that are given, scaled and filled; values worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Vector
from torchrec_ext.errors import InputError

NAN, LARGEST = math.nan, float(np.finfo(np.float32).max)
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
    assert found[:, 2:].tolist() == ([[0], [1], [0]] if indicator else [[], [], []])


@pytest.mark.parametrize(
    ("options", "training", "values", "expected"),
    [
        (Vector(2, scale="unit"), VECTORS, [[0, 0], [3e-30, 4e-30]], [[0, 0], [0.6, 0.8]]),
        # what float32 cannot hold is cut off or missing
        (Vector(1), [[0.0], [2e-30]], [[3e38], [-3e38], [1e300]], [[LARGEST], [-LARGEST], [0]]),
        (Vector(2), np.empty((0, 2)), [[5, -1], [NAN, NAN]], [[5, -1], [0, 0]]),
        (Vector(2), [[NAN, NAN]], [[5, -1], [NAN, NAN]], [[5, -1], [0, 0]]),
    ],
)
def test_at_the_edges(options, training, values, expected):
    found = options.fit(np.array(training)).transform(np.array(values))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


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
    [np.ones((3, 4)), np.array([["a", "b"]]), np.ones(2), *map(pa.array, ([[1, 2]], ["a"], [1.0, None]))],
)
def test_what_is_not_a_vector_of_the_width_is_refused(values):
    with pytest.raises(InputError, match=r"vectors should be numbers of shape \(n, 2\), .* set Vector.width"):
        Vector(2).fit(values)
