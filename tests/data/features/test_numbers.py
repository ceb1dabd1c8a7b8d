"""Number, Vector and Time: what stands in for missing values, scales, buckets; values worked out by hand."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data.features import FittedPart, Number, Time, Vector
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
        (Number(scale="quantile"), [], [-1, 3, None], [0.5] * 3),
        (Number(scale="robust"), [1, 5], [1e300, -1e40], [LARGEST, -LARGEST]),  # float32 holds no larger one
        # float32 counts seconds of our time in steps of 128
        (Number(), [1_600_000_000, 1_600_000_010], [1_600_000_000, 1_600_000_010], [-1, 1]),
    ],
)
def test_numbers_by_hand(options, training, values, expected):
    found = options.fit(list(training)).transform(values)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-6)
    assert (found.shape, found.dtype) == ((len(values), 1), np.float32)


@pytest.mark.parametrize("scale", ["standard", "min_max", "robust", "log1p"])
def test_what_does_not_differ_has_a_spread_of_1(scale):
    fitted = Number(scale=scale).fit([0.1] * 3)
    assert fitted.scale.spread == 1 and abs(fitted.transform([0.1])[0, 0]) < 1e-9
    assert Number(scale=scale).fit([None, INF]).transform([0, None]).tolist() == [[0], [0]]
    assert Number().fit([1e-12, 3e-12]).scale.spread == pytest.approx(1e-12)  # no rounding


def test_at_most_1000_quantiles_are_kept_and_ranks_stay_ranks():
    fitted = Number(scale="quantile").fit(np.arange(2001))
    assert len(fitted.scale.quantiles) == 1000
    np.testing.assert_allclose(fitted.transform([500, 2000])[:, 0], [0.25, 1], atol=1e-6)
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


VECTORS = np.array([[3, 4], [NAN, 5], [3, 8]], np.float32)  # mean (3, 6), deviations 0 and 2


@pytest.mark.parametrize(
    ("missing", "scale", "expected"),
    [
        ("mean", "standard", [[0, -1], [0, 0], [0, 1]]),
        ("zero", "standard", [[0, -1], [0, 0], [0, 1]]),
        ("mean", "none", [[3, 4], [3, 6], [3, 8]]),
        ("zero", "none", [[3, 4], [0, 0], [3, 8]]),
        ("mean", "unit", [[0.6, 0.8], [1 / 5**0.5, 2 / 5**0.5], [3 / 73**0.5, 8 / 73**0.5]]),
        ("zero", "unit", [[0.6, 0.8], [0, 0], [3 / 73**0.5, 8 / 73**0.5]]),
    ],
)
@pytest.mark.parametrize("indicator", [False, True])
def test_by_hand(missing, scale, expected, indicator):
    column = pa.array([[3, 4], [None, 5], None, [3, 8]], pa.list_(pa.float32(), 2))
    for values, places in ((VECTORS, [0, 1, 2]), (column, [0, 1, 3]), (column, [0, 2, 3])):
        found = Vector(2, missing, indicator, scale).fit(values).transform(values)[places]
        np.testing.assert_allclose(found[:, :2], expected, atol=1e-6)
        assert found[:, 2:].tolist() == ([[0], [1], [0]] if indicator else [[], [], []])


@pytest.mark.parametrize(
    ("options", "training", "values", "expected"),
    [
        (Vector(2, scale="unit"), VECTORS, [[0, 0], [3e-30, 4e-30]], [[0, 0], [0.6, 0.8]]),
        # what float32 cannot hold is cut off or missing
        (Vector(1), [[0.0], [2e-30]], [[3e38], [-3e38], [1e300]], [[LARGEST], [-LARGEST], [0]]),
        (Vector(2), np.empty((0, 2)), [[5, -1], [NAN, NAN]], [[5, -1], [0, 0]]),
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


@pytest.mark.parametrize(
    "values",
    [np.ones((3, 4)), np.array([["a", "b"]]), np.ones(2), *map(pa.array, ([[1, 2]], ["a"], [1.0, None]))],
)
def test_what_is_not_a_vector_of_the_width_is_refused(values):
    with pytest.raises(InputError, match=r"vectors should be numbers of shape \(n, 2\), .* set Vector.width"):
        Vector(2).fit(values)


DAY = 86_400
# a Thursday
LEAP = pd.Timestamp("2024-02-29 23:59:59.5").timestamp()


@pytest.mark.parametrize("part", ["hour", "weekday", "month"])
def test_parts_are_those_of_the_calendar(part):
    times = pd.Series(np.random.default_rng(0).integers(-(10**10), 10**10, 500))
    dates = times.astype("datetime64[s]").dt
    expected = {"hour": dates.hour + 1, "weekday": dates.day_of_week + 1, "month": dates.month}[part]
    fitted = FittedPart(part, cyclic=False)
    assert fitted.transform(times).tolist() == expected.tolist()
    assert fitted.rows == {"hour": 25, "weekday": 8, "month": 13}[part]
    # before 1970, a Thursday; the end of a leap day; and what is not a time
    by_hand = {"hour": [1, 24, 24], "weekday": [4, 3, 4], "month": [1, 12, 2]}[part]
    found = fitted.transform([0, -0.5, LEAP, None, math.inf, 1e18])
    assert (found.tolist(), found.dtype) == ([*by_hand, 0, 0, 0], np.int64)


def test_on_a_circle_by_hand():
    fitted = Time(("hour", "month", "weekday"), cyclic=True).fit([0, DAY])
    assert [*fitted] == ["hour", "month", "weekday"]
    found = fitted["hour"].transform([0, 6 * 3600, 12 * 3600, 18 * 3600, None])
    np.testing.assert_allclose(found, [[0, 1], [1, 0], [0, -1], [-1, 0], [0, 0]], atol=1e-6)
    half = math.sqrt(0.75)
    found = fitted["month"].transform(pa.array(pd.to_datetime(["2001-03-31", "2001-09-01"])))
    np.testing.assert_allclose(found, [[half, 0.5], [-half, -0.5]], atol=1e-6)
    assert fitted["weekday"].transform([4 * DAY]).tolist() == [[0, 1]]  # Monday is at the beginning


@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_dates_are_taken_as_utc(unit):
    hour = FittedPart("hour", cyclic=False)
    dates = pa.array([pd.Timestamp("2020-01-01 05:00"), None], pa.timestamp(unit))
    assert hour.transform(dates).tolist() == [6, 0]
    assert hour.transform(dates.dictionary_encode()).tolist() == [6, 0]
    abroad = pa.array([pd.Timestamp("2020-01-01 05:00", tz="Asia/Tokyo")], pa.timestamp(unit, "Asia/Tokyo"))
    assert hour.transform(abroad).tolist() == [21]  # 20:00 of the day before
    assert FittedPart("month", cyclic=False).transform(dates.cast(pa.date32())).tolist() == [1, 0]


def test_age_by_hand():
    # logs of 1 + days before the latest are 0 and log 4; mean log 2, deviation log 2
    fitted = Time((), age=True).fit([-3 * DAY, 0, None, 1e12])["age"]
    assert fitted.now == 0 and fitted.scale.center == pytest.approx(math.log(2))
    ages = fitted.transform([0, -DAY, -3 * DAY, -7 * DAY, DAY, None])
    np.testing.assert_allclose(ages[:, 0], [-1, 0, 1, 2, -1, 0], atol=1e-6)
    assert Time((), age=True).fit([None])["age"].transform([None, 0]).tolist() == [[0], [0]]


def test_what_is_not_a_time_is_refused():
    for options in (Time(), Time((), age=True)):
        with pytest.raises(InputError, match="times reach 1.6e\\+12, expected unix seconds; .* milliseconds"):
            options.fit([1.6e12, 1.5e12, 3, None])
        with pytest.raises(InputError, match="the values should be numbers"):
            options.fit(pa.array(["noon"]))
