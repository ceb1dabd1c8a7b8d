"""Number: what stands in for missing numbers, scales, buckets; values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data.features import Number, fit_number
from torchrec_ext.errors import InputError

NAN, INF = math.nan, math.inf


def applied(training, options, values):
    return fit_number(training, options).apply(values).tolist()


def column(training, options, values):
    return [row[0] for row in applied(training, options, values)]


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
@pytest.mark.parametrize("missing", [None, NAN, INF, -INF])
def test_what_stands_in_for_a_missing_number(options, fill, missing):
    assert column([1, 8, None, 1, 2, INF, -INF], options, [5, missing]) == [5, fill]


def test_of_several_most_frequent_numbers_the_smallest():
    assert column([8, 2, 8, 2, 5], Number("most_frequent", scale="none"), [None]) == [2]


def test_it_is_filled_before_it_is_scaled():
    # mean 3, deviation 2 of those that are there
    assert column([1, 5, None], Number("constant", fill=9), [None]) == [3]


def test_indicator_is_1_where_it_was_missing():
    fitted = fit_number([1, 5], Number(indicator=True))
    assert fitted.apply([5, None, 1, -INF]).tolist() == [[1, 0], [0, 1], [-1, 0], [0, 1]]
    assert (fitted.width, fitted.rows) == (2, 0)


@pytest.mark.parametrize("missing", ["mean", "constant", "unknown", "drop"])
def test_drop_alone_leaves_rows_out(missing):
    buckets = (0, 3) if missing == "unknown" else None
    kept = fit_number([1, 5], Number(missing, buckets=buckets)).kept([1, None, 2, INF])
    assert kept.tolist() == ([True, False, True, False] if missing == "drop" else [True] * 4)


@pytest.mark.parametrize(
    ("scale", "training", "values", "expected"),
    [
        ("none", [1, 5], [-7, 1e10], [-7, 1e10]),
        ("standard", [1, 5], [1, 9, None], [-1, 3, 0]),
        ("standard", [1, INF, 5, NAN], [1, 9], [-1, 3]),
        ("min_max", [2, 6, 3], [2, 4, 6, 8, 0], [0, 0.5, 1, 1.5, -0.5]),
        ("robust", [0, 1, 2, 3, 100], [2, 4, 100], [0, 1, 49]),  # quartiles 1 and 3
        ("robust", [5, 5, 5, 5, 9], [9], [2.5]),  # quartiles 5 and 5; deviation 1.6
        ("log1p", [0, math.e**2 - 1], [0, math.e - 1, 1 - math.e**2], [-1, 0, -3]),
        ("quantile", [10, 50, 20, 40, 30], [10, 15, 50, -99, 99], [0, 0.125, 1, 0, 1]),
        ("quantile", [5, 7, 5], [4, 5, 6, 7], [0.25, 0.25, 0.625, 1]),  # ranks 0, 1/2, 1
        ("quantile", range(2001), [500, 2000], [0.25, 1]),
    ],
)
def test_scales_by_hand(scale, training, values, expected):
    assert column(list(training), Number(scale=scale), values) == pytest.approx(expected, abs=1e-6)


def test_at_most_1000_quantiles_are_kept():
    assert len(fit_number(np.arange(2001), Number(scale="quantile")).scale.quantiles) == 1000


@pytest.mark.parametrize("scale", ["standard", "min_max", "robust", "log1p"])
def test_what_does_not_differ_has_a_spread_of_1(scale):
    assert column([0.1] * 3, Number(scale=scale), [0.1]) == pytest.approx([0], abs=1e-9)
    assert fit_number([0.1] * 3, Number(scale=scale)).scale.spread == 1
    assert column([], Number(scale=scale), [0, None]) == [0, 0]
    assert column([None, INF], Number(scale=scale), [0, None]) == [0, 0]


@pytest.mark.parametrize("training", [[], [None], [3, 3]])
def test_quantiles_of_what_does_not_differ_are_one_half(training):
    assert column(training, Number(scale="quantile"), [-1, 3, None]) == [0.5] * 3


def test_rounding_is_no_deviation_but_small_numbers_are():
    assert fit_number([1e-12, 3e-12], Number()).scale.spread == pytest.approx(1e-12)


@pytest.mark.parametrize("scale", ["none", "standard", "min_max", "robust"])
def test_what_float32_cannot_hold_is_cut_off(scale):
    largest = float(np.finfo(np.float32).max)
    assert column([1, 5], Number(scale=scale), [1e300, -1e40]) == [largest, -largest]


def test_ranks_between_numbers_that_differ_by_nothing_are_ranks():
    # the slope between the two overflows
    (rank,) = column([0, 2e-323], Number(scale="quantile"), [5e-324])
    assert 0 <= rank <= 1


def test_large_numbers_keep_their_differences():
    # float32 counts seconds of our time in steps of 128
    assert column([1_600_000_000, 1_600_000_010], Number(), [1_600_000_000, 1_600_000_010]) == [-1, 1]


@pytest.mark.parametrize(
    ("options", "training", "edges"),
    [
        (Number(buckets="quantile", bins=2), range(1, 11), (5.5,)),
        # at 0.2, 0.4, 0.6 and 0.8: 0, 0, 0.4, 2.2; below 0 is nothing to learn from
        (Number(buckets="quantile", bins=5), [0] * 6 + [1, 2, 3, 4], (0.4, 2.2)),
        (Number(buckets="log", bins=4), [-99, 0, 99], (-9, 0, 9)),
        (Number(buckets="log", bins=2), [0, 3], (1,)),
        (Number(buckets="log"), [7, 7], ()),
        (Number(buckets="quantile"), [7, 7, None], ()),
        (Number(buckets="log"), [], ()),
        (Number(buckets="quantile"), [NAN], ()),
        (Number(buckets=(0, 10, 10, 20)), [3], (0, 10, 20)),
        (Number(buckets=(0.5,)), [], (0.5,)),
    ],
)
def test_edges_by_hand(options, training, edges):
    fitted = fit_number(list(training), options)
    assert fitted.edges == pytest.approx(edges)
    assert (fitted.width, fitted.rows) == (0, len(edges) + 2)


@pytest.mark.parametrize(
    ("options", "row"),
    [
        (Number("unknown", buckets=(0, 10)), 0),
        (Number("drop", buckets=(0, 10)), 0),
        (Number("mean", buckets=(0, 10)), 3),
        (Number("median", buckets=(0, 10)), 2),
        (Number("constant", fill=-1, buckets=(0, 10)), 1),
    ],
)
def test_rows_of_buckets_and_of_what_is_missing(options, row):
    fitted = fit_number([1, 2, 99], options)
    rows = fitted.apply([-0.1, 0, 9.9, 10, 1e300, None, INF])
    assert rows.tolist() == [1, 2, 2, 3, 3, row, row]
    assert rows.dtype == np.int64
    assert fitted.rows == 4


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([1, None], dtype="Int64"),
        pd.Series([1, None], dtype="Float64"),
        pd.Series([1, None], dtype="float32", index=[7, 7]),
        pd.Series([1, None], dtype=object),
        pd.Series([True, None], dtype=object),
        pd.Series([True, None], dtype="boolean"),
        pd.Series([1, None], dtype="category"),
        pd.Series(["1.0", None]),
        np.array([1, NAN]),
        (1, None),
    ],
)
def test_every_type_of_numbers_will_do(values):
    assert column([1, 5], Number(), values) == [-1, 0]


@pytest.mark.parametrize(
    "values",
    [
        ["dear"],
        [[1, 2]],
        pd.Series(pd.to_datetime(["2020-01-01"])),
        [{}],
        [2, "dear"],
        [1j],
        [pd.Timedelta(1)],
    ],
)
def test_what_is_no_number_is_refused(values):
    with pytest.raises(InputError, match=r"the column should hold numbers, received .* such as "):
        fit_number(values, Number())
    with pytest.raises(InputError, match="column 'price' should hold numbers"):
        fit_number([1], Number()).apply(pd.Series(values, name="price"))


def test_an_array_of_two_axes_is_refused():
    with pytest.raises(InputError, match=r"should be an array \(n,\), received one of shape \(2, 1\)"):
        fit_number(np.ones((2, 1)), Number())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"missing": "meen"}, "Number.missing should be .* received 'meen'; did you mean 'mean'?"),
        ({"missing": 3}, "Number.missing should be 'drop' or .* received 3"),
        ({"scale": "minmax"}, "Number.scale should be .* received 'minmax'; did you mean 'min_max'?"),
        ({"fill": NAN, "missing": "constant"}, "Number.fill should be a finite number, received nan"),
        ({"fill": True, "missing": "constant"}, "Number.fill should be a finite number, received True"),
        ({"fill": 3}, "Number.fill=3 has no effect with missing='mean'; set missing='constant'"),
        ({"indicator": 1}, "Number.indicator should be true or false, received 1"),
        ({"buckets": "quantiles"}, "Number.buckets should be .* did you mean 'quantile'?"),
        ({"buckets": ()}, r"Number.buckets should be .*, received \(\)"),
        ({"buckets": (2, 1)}, r"ascending numbers, or nothing, received \(2, 1\)"),
        ({"buckets": (0, INF)}, r"ascending numbers, or nothing, received \(0, inf\)"),
        ({"buckets": 5}, "ascending numbers, or nothing, received 5"),
        ({"buckets": "log", "bins": 1}, "Number.bins should be an integer of 2 or more, received 1"),
        ({"bins": 20}, "Number.bins=20 has no effect without buckets='quantile' or 'log'"),
        ({"bins": 20, "buckets": (1,)}, "Number.bins=20 has no effect"),
        ({"missing": "unknown"}, "Number.missing='unknown' is a row of a table; set buckets too"),
        ({"indicator": True, "buckets": "log"}, "Number.indicator=True has no effect with buckets"),
        ({"scale": "robust", "buckets": "log"}, "Number.scale='robust' has no effect with buckets"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(InputError, match=message):
        Number(**options)
