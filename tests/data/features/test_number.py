"""Number: what stands in for missing numbers, scales, buckets; values worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Number
from torchrec_ext.errors import InputError

NAN, INF = math.nan, math.inf
LARGEST = float(np.finfo(np.float32).max)
HOLES, FILLED = [1, 8, None, 1, 2, INF, -INF], [5, None, NAN, INF, -INF]


@pytest.mark.parametrize(
    ("options", "training", "values", "expected"),
    [
        (Number("mean", scale="none"), HOLES, FILLED, [5, 3, 3, 3, 3]),
        (Number("median", scale="none"), HOLES, FILLED, [5] + [1.5] * 4),
        (Number("most_frequent", scale="none"), HOLES, FILLED, [5, 1, 1, 1, 1]),
        (Number("most_frequent", scale="none"), [8, 2, 8, 2, 5], [None], [2]),  # of several the smallest
        (Number("constant", fill=7, scale="none"), HOLES, FILLED, [5, 7, 7, 7, 7]),
        (Number("drop", scale="none"), HOLES, FILLED, [5, 3, 3, 3, 3]),
        (Number("constant", fill=9), [1, 5, None], [None], [3]),  # filled before it is scaled
        (Number(scale="none"), [1, 5], [-7, 1e10], [-7, 1e10]),
        (Number(), [1, INF, 5, NAN], [1, 9, None], [-1, 3, 0]),
        (Number(scale="min_max"), [2, 6, 3], [2, 4, 6, 8, 0], [0, 0.5, 1, 1.5, -0.5]),
        (Number(scale="robust"), [0, 1, 2, 3, 100], [2, 4, 100], [0, 1, 49]),  # quartiles 1 and 3
        (Number(scale="robust"), [5, 5, 5, 5, 9], [9], [2.5]),  # quartiles 5 and 5; deviation 1.6
        (Number(scale="log1p"), [0, math.e**2 - 1], [0, math.e - 1, 1 - math.e**2], [-1, 0, -3]),
        (Number(scale="quantile"), [10, 50, 20, 40, 30], [10, 15, 50, -99, 99], [0, 0.125, 1, 0, 1]),
        (Number(scale="quantile"), [5, 7, 5], [4, 5, 6, 7], [0.25, 0.25, 0.625, 1]),  # ranks 0, 1/2, 1
        (Number(scale="quantile"), range(2001), [500, 2000], [0.25, 1]),
        (Number(scale="quantile"), [], [-1, 3, None], [0.5] * 3),
        (Number(scale="quantile"), [3, 3], [-1, 3, None], [0.5] * 3),
        (Number(scale="robust"), [1, 5], [1e300, -1e40], [LARGEST, -LARGEST]),  # float32 holds no larger one
        # float32 counts seconds of our time in steps of 128
        (Number(), [1_600_000_000, 1_600_000_010], [1_600_000_000, 1_600_000_010], [-1, 1]),
    ],
)
def test_numbers_by_hand(options, training, values, expected):
    found = options.fit(list(training)).transform(values)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    assert (found.shape, found.dtype) == ((len(values), 1), np.float32)


def test_indicator_is_1_where_it_was_missing():
    fitted = Number(indicator=True).fit([1, 5])
    assert fitted.transform([5, None, 1, -INF]).tolist() == [[1, 0], [0, 1], [-1, 0], [0, 1]]


def test_what_does_not_differ_has_a_spread_of_1():
    for scale in ("standard", "min_max", "robust", "log1p"):
        fitted = Number(scale=scale).fit([0.1] * 3)
        assert fitted.scale.spread == 1 and abs(fitted.transform([0.1])[0, 0]) < 1e-9
        assert Number(scale=scale).fit([None, INF]).transform([0, None]).tolist() == [[0], [0]]
    assert Number().fit([1e-12, 3e-12]).scale.spread == pytest.approx(1e-12)  # no rounding


def test_at_most_1000_quantiles_are_kept_and_ranks_stay_ranks():
    assert len(Number(scale="quantile").fit(np.arange(2001)).scale.quantiles) == 1000
    # the slope between the two overflows
    assert 0 <= Number(scale="quantile").fit([0, 2e-323]).transform([5e-324])[0, 0] <= 1


@pytest.mark.parametrize(
    ("options", "training", "edges"),
    [
        (Number(buckets="quantile", bins=2), range(1, 11), (5.5,)),
        # at 0.2, 0.4, 0.6 and 0.8: 0, 0, 0.4, 2.2; below 0 is nothing to learn from
        (Number(buckets="quantile", bins=5), [0] * 6 + [1, 2, 3, 4], (0.4, 2.2)),
        (Number(buckets="log", bins=4), [-99, 0, 99], (-9, 0, 9)),
        (Number(buckets="log"), [7, 7], ()),
        (Number(buckets="quantile"), [7, 7, None], ()),
        (Number(buckets="log"), [], ()),
        (Number(buckets=(0, 10, 10, 20)), [3], (0, 10, 20)),
    ],
)
def test_edges_by_hand(options, training, edges):
    fitted = options.fit(list(training))
    assert fitted.edges == pytest.approx(edges)
    assert (fitted.width, fitted.rows) == (0, len(edges) + 2)


@pytest.mark.parametrize(
    ("missing", "fill", "row"),
    [("unknown", 0, 0), ("drop", 0, 0), ("mean", 0, 3), ("median", 0, 2), ("constant", -1, 1)],
)
def test_rows_of_buckets_and_of_what_is_missing(missing, fill, row):
    fitted = Number(missing, fill=fill, buckets=(0, 10)).fit([1, 2, 99])
    rows = fitted.transform([-0.1, 0, 9.9, 10, 1e300, None, INF])
    assert rows.tolist() == [1, 2, 2, 3, 3, row, row]
    assert (rows.dtype, fitted.rows) == (np.int64, 4)


def test_every_type_of_numbers_is_read_and_nothing_else():
    words = pa.array(["1.0", None])
    for values in (
        *(pa.array([1, None], kind) for kind in (pa.int64(), pa.float32(), pa.float64())),
        pa.array([True, None]), words, words.dictionary_encode(), np.array([1, NAN], np.float32), (1, None),
    ):  # fmt: skip
        assert Number().fit([1, 5]).transform(values).tolist() == [[-1], [0]]
    wrong = (["dear"], [[1.0]], [{"a": 1}], [np.datetime64(1, "s")])
    for values in (["dear"], [2, "dear"], np.ones((2, 1)), *map(pa.array, wrong)):
        with pytest.raises(InputError, match="the values should be numbers: .*; declare another kind of"):
            Number().fit(values)
