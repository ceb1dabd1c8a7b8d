"""Number: what stands in for missing numbers, scales, buckets; values worked out by hand."""

import math

import numpy as np
import pyarrow as pa
import pytest

from torchrec_ext.data.features import Number
from torchrec_ext.errors import InputError

NAN, INF = math.nan, math.inf


def column(training, options, values):
    return [row[0] for row in options.fit(training).transform(values).tolist()]


@pytest.mark.parametrize(
    ("options", "fill"),
    [
        (Number("mean", scale="none"), 3),
        (Number("median", scale="none"), 1.5),
        (Number("most_frequent", scale="none"), 1),
        (Number("constant", fill=7, scale="none"), 7),
        (Number("drop", scale="none"), 3),
    ],
)
def test_what_stands_in_for_a_missing_number(options, fill):
    assert column([1, 8, None, 1, 2, INF, -INF], options, [5, None, NAN, INF, -INF]) == [5, *[fill] * 4]


def test_of_several_most_frequent_numbers_the_smallest():
    assert column([8, 2, 8, 2, 5], Number("most_frequent", scale="none"), [None]) == [2]


def test_a_constant_is_filled_before_it_is_scaled():
    # mean 3, deviation 2 of those that are there
    assert column([1, 5, None], Number("constant", fill=9), [None]) == [3]


def test_indicator_is_1_where_it_was_missing():
    fitted = Number(indicator=True).fit([1, 5])
    assert fitted.transform([5, None, 1, -INF]).tolist() == [[1, 0], [0, 1], [-1, 0], [0, 1]]
    assert (fitted.width, fitted.rows) == (2, 0)


@pytest.mark.parametrize("missing", ["mean", "constant", "unknown", "drop"])
def test_drop_alone_leaves_rows_out(missing):
    fitted = Number(missing, buckets=(0, 3) if missing == "unknown" else None).fit([1, 5])
    assert fitted.kept([1, None, 2, INF]).tolist() == [True, missing != "drop"] * 2


@pytest.mark.parametrize(
    ("scale", "training", "values", "expected"),
    [
        ("none", [1, 5], [-7, 1e10], [-7, 1e10]),
        ("standard", [1, INF, 5, NAN], [1, 9, None], [-1, 3, 0]),
        ("min_max", [2, 6, 3], [2, 4, 6, 8, 0], [0, 0.5, 1, 1.5, -0.5]),
        ("robust", [0, 1, 2, 3, 100], [2, 4, 100], [0, 1, 49]),  # quartiles 1 and 3
        ("robust", [5, 5, 5, 5, 9], [9], [2.5]),  # quartiles 5 and 5; deviation 1.6
        ("log1p", [0, math.e**2 - 1], [0, math.e - 1, 1 - math.e**2], [-1, 0, -3]),
        ("quantile", [10, 50, 20, 40, 30], [10, 15, 50, -99, 99], [0, 0.125, 1, 0, 1]),
        ("quantile", [5, 7, 5], [4, 5, 6, 7], [0.25, 0.25, 0.625, 1]),  # ranks 0, 1/2, 1
        ("quantile", range(2001), [500, 2000], [0.25, 1]),
        ("quantile", [], [-1, 3, None], [0.5] * 3),
        ("quantile", [3, 3], [-1, 3, None], [0.5] * 3),
        # what float32 cannot hold is cut off
        *((scale, [1, 5], [1e300, -1e40], [3.4028235e38, -3.4028235e38]) for scale in ("none", "robust")),
        # float32 counts seconds of our time in steps of 128
        ("standard", [1_600_000_000, 1_600_000_010], [1_600_000_000, 1_600_000_010], [-1, 1]),
    ],
)
def test_scales_by_hand(scale, training, values, expected):
    assert column(list(training), Number(scale=scale), values) == pytest.approx(expected, abs=1e-6, rel=1e-6)


@pytest.mark.parametrize("scale", ["standard", "min_max", "robust", "log1p"])
def test_what_does_not_differ_has_a_spread_of_1(scale):
    assert column([0.1] * 3, Number(scale=scale), [0.1]) == pytest.approx([0], abs=1e-9)
    assert Number(scale=scale).fit([0.1] * 3).scale.spread == 1
    assert column([None, INF], Number(scale=scale), [0, None]) == [0, 0]


def test_rounding_is_no_deviation_but_small_numbers_are():
    assert Number().fit([1e-12, 3e-12]).scale.spread == pytest.approx(1e-12)


def test_at_most_1000_quantiles_are_kept_and_ranks_stay_ranks():
    assert len(Number(scale="quantile").fit(np.arange(2001)).scale.quantiles) == 1000
    # the slope between the two overflows
    (rank,) = column([0, 2e-323], Number(scale="quantile"), [5e-324])
    assert 0 <= rank <= 1


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


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, None]),
        pa.array([1, None], pa.float32()),
        pa.array([True, None]),
        pa.array(["1.0", None]),
        pa.array(["1.0", None]).dictionary_encode(),
        np.array([1, NAN], np.float32),
        (1, None),
    ],
)
def test_every_type_of_numbers_is_read(values):
    assert column([1, 5], Number(), values) == [-1, 0]


@pytest.mark.parametrize(
    "values",
    [
        ["dear"],
        [2, "dear"],
        np.ones((2, 1)),
        *map(pa.array, (["dear"], [[1.0]], [{"a": 1}], [np.datetime64(1, "s")])),
    ],
)
def test_what_is_not_a_number_is_refused(values):
    with pytest.raises(InputError, match="the values should be numbers: .*; declare another kind of feature"):
        Number().fit(values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "meen"}, "Number.missing should be .* received 'meen'; did you mean 'mean'?"),
        ({"scale": "minmax"}, "Number.scale should be .* received 'minmax'; did you mean 'min_max'?"),
        ({"fill": NAN, "missing": "constant"}, "Number.fill should be a finite number, received nan"),
        ({"fill": True, "missing": "constant"}, "Number.fill should be a valid number, received True"),
        ({"fill": 3}, "Number.fill needs missing='constant', received .*fill=3"),
        ({"indicator": 1}, "Number.indicator should be a valid boolean, received 1"),
        ({"buckets": "quantiles"}, "Number.buckets should be .* did you mean 'quantile'?"),
        ({"buckets": ()}, "Number.buckets should be ascending numbers"),
        ({"buckets": (2, 1)}, r"Number.buckets should be ascending numbers, received .*\(2.0, 1.0\)"),
        ({"buckets": (0, INF)}, r"Number.buckets.1 should be a finite number, received inf"),
        ({"buckets": 5}, "Number.buckets should be 'quantile' or 'log' or a valid tuple, received 5"),
        ({"buckets": "log", "bins": 1}, "Number.bins should be greater than or equal to 2, received 1"),
        ({"bins": 20}, "Number.bins needs buckets='quantile' or 'log'"),
        ({"bins": 20, "buckets": (1,)}, "Number.bins needs"),
        ({"missing": "unknown"}, "Number.missing='unknown' needs buckets"),
        ({"indicator": True, "buckets": "log"}, "Number.indicator is for numbers without buckets"),
        ({"scale": "robust", "buckets": "log"}, "Number.scale is for numbers without buckets"),
    ],
)
def test_wrong_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        Number(**options)
