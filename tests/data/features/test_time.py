"""Time: parts of a time as rows or on a circle, and its age."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data.features import FittedPart, Time
from torchrec_ext.errors import InputError

DAY = 86_400
# a Thursday
LEAP = pd.Timestamp("2024-02-29 23:59:59.5").timestamp()


def test_one_column_gives_several_features():
    features = Time(("month", "hour"), cyclic=True, age=True).fit([0, DAY])
    assert list(features) == ["month", "hour", "age"]
    assert features["month"] == FittedPart("month", cyclic=True)


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
    hour, month = FittedPart("hour", cyclic=True), FittedPart("month", cyclic=True)
    found = hour.transform([0, 6 * 3600, 12 * 3600, 18 * 3600, None])
    np.testing.assert_allclose(found, [[0, 1], [1, 0], [0, -1], [-1, 0], [0, 0]], atol=1e-6)
    half = math.sqrt(0.75)
    found = month.transform(pa.array(pd.to_datetime(["2001-03-31", "2001-09-01"])))
    np.testing.assert_allclose(found, [[half, 0.5], [-half, -0.5]], atol=1e-6)
    # Monday is at the beginning
    assert FittedPart("weekday", cyclic=True).transform([4 * DAY]).tolist() == [[0, 1]]


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
