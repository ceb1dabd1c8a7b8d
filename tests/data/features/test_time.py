"""Time: parts of a time as rows or on a circle, and its age."""

import math

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data.features import FittedAge, FittedPart, Time, fit_age, fit_time
from torchrec_ext.errors import InputError

DAY = 86_400
# a Thursday
LEAP = pd.Timestamp("2024-02-29 23:59:59.5").timestamp()


def test_one_column_gives_several_features():
    features = fit_time([0, DAY], Time(parts=("month", "hour"), age=True))
    assert list(features) == ["month", "hour", "age"]
    assert features["month"] == FittedPart("month")
    assert isinstance(features["age"], FittedAge)
    assert list(fit_time([0], Time(parts=(), age=True))) == ["age"]
    assert fit_time([0], Time(cyclic=True))["hour"] == FittedPart("hour", cyclic=True)


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        # 1970-01-01 00:00 is a Thursday, a second before it a Wednesday
        ("hour", [1, 24, 24, 24, 0, 0]),
        ("weekday", [4, 3, 3, 4, 0, 0]),
        ("month", [1, 12, 12, 2, 0, 0]),
    ],
)
def test_rows_by_hand(part, rows):
    found = FittedPart(part).apply([0, -1, -0.5, LEAP, None, math.inf])
    assert found.tolist() == rows
    assert found.dtype == np.int64


@pytest.mark.parametrize("part", ["hour", "weekday", "month"])
def test_parts_are_those_of_the_calendar(part):
    times = pd.Series(np.random.default_rng(0).integers(-(10**10), 10**10, 500))
    dates = times.astype("datetime64[s]").dt
    expected = {"hour": dates.hour + 1, "weekday": dates.day_of_week + 1, "month": dates.month}[part]
    assert FittedPart(part).apply(times).tolist() == expected.tolist()
    assert FittedPart(part).rows == {"hour": 25, "weekday": 8, "month": 13}[part]


def test_on_a_circle_by_hand():
    hour = FittedPart("hour", cyclic=True)
    assert (hour.width, hour.rows) == (2, 0)
    found = hour.apply([0, 6 * 3600, 12 * 3600, 18 * 3600, None])
    np.testing.assert_allclose(found, [[0, 1], [1, 0], [0, -1], [-1, 0], [0, 0]], atol=1e-6)
    assert found.dtype == np.float32
    half = math.sqrt(0.75)
    found = FittedPart("month", cyclic=True).apply(pd.Series(pd.to_datetime(["2001-03-31", "2001-09-01"])))
    np.testing.assert_allclose(found, [[half, 0.5], [-half, -0.5]], atol=1e-6)
    # Monday is at the beginning
    assert FittedPart("weekday", cyclic=True).apply([4 * DAY]).tolist() == [[0, 1]]


def test_dates_are_taken_as_utc():
    hour = FittedPart("hour")
    assert hour.apply(pd.Series(pd.to_datetime(["2020-01-01 05:00", None]))).tolist() == [6, 0]
    assert hour.apply([pd.Timestamp("2020-01-01 05:00"), None]).tolist() == [6, 0]
    abroad = pd.Series(pd.to_datetime(["2020-01-01 05:00"])).dt.tz_localize("Asia/Tokyo")
    assert hour.apply(abroad).tolist() == [21]  # 20:00 of the day before


def test_age_by_hand():
    # at now = 0, logs of 1 + days are 0 and log 4; mean log 2, deviation log 2
    fitted = fit_age([-3 * DAY, 0], now=0.0)
    assert fitted.scale.center == pytest.approx(math.log(2))
    ages = fitted.apply([0, -DAY, -3 * DAY, -7 * DAY, DAY, None])
    np.testing.assert_allclose(ages[:, 0], [-1, 0, 1, 2, -1, 0], atol=1e-6)
    assert (ages.dtype, ages.shape, fitted.width, fitted.rows) == (np.float32, (6, 1), 1, 0)


def test_age_at_another_now():
    fitted = fit_age([-3 * DAY, 0], now=0.0)
    np.testing.assert_allclose(fitted.apply([0, DAY], now=DAY)[:, 0], [0, -1], atol=1e-6)
    each = fitted.apply([0, 0, None], now=np.array([0, 3 * DAY, DAY]))
    np.testing.assert_allclose(each[:, 0], [-1, 1, 0], atol=1e-6)
    assert fitted.now == 0


def test_now_is_the_latest_of_training_unless_it_is_given():
    assert fit_age([5, 9, None, 1e12]).now == 9
    assert fit_age([5], now=7).now == 7
    assert fit_time([5, 9], Time(age=True), now=11)["age"].now == 11
    assert fit_age([None]).apply([None, 0]).tolist() == [[0], [0]]


def test_times_too_far_away_are_missing_but_milliseconds_are_told():
    assert FittedPart("hour").apply([1e18, -1e18]).tolist() == [0, 0]
    for fit in (fit_age, lambda times: fit_time(times, Time())):
        with pytest.raises(InputError, match="times reach 1.6e\\+12, expected unix seconds; .* milliseconds"):
            fit([1.6e12, 1.5e12, 3, None])


def test_what_is_no_time_is_refused():
    with pytest.raises(InputError, match="column 'seen' should hold numbers, received .* such as 'noon'"):
        fit_time(pd.Series(["noon"], name="seen"), Time())
    with pytest.raises(InputError, match="one for all or one for each of 2, received"):
        fit_age([0]).apply([0, 1], now=np.zeros(3))
    with pytest.raises(InputError, match="now should be finite unix seconds, received nan"):
        fit_age([0]).apply([0], now=math.nan)
    with pytest.raises(InputError, match="now should be a finite number, received inf"):
        fit_age([0], now=math.inf)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"parts": ("hours",)}, r"Time.parts should be .*, each once, received \('hours',\)"),
        ({"parts": ("hour", "hour")}, "each once"),
        ({"parts": "hour"}, "Time.parts should be a list of 'hour' or .* received 'hour'"),
        ({"parts": ([],)}, "Time.parts should be"),
        ({"parts": ()}, "Time.parts is empty and Time.age false, so nothing is left"),
        ({"parts": (), "age": True, "cyclic": True}, "Time.cyclic=True has no effect without parts"),
        ({"cyclic": "no"}, "Time.cyclic should be true or false, received 'no'"),
        ({"age": 1}, "Time.age should be true or false, received 1"),
    ],
)
def test_wrong_options_are_told(options, message):
    with pytest.raises(InputError, match=message):
        Time(**options)
