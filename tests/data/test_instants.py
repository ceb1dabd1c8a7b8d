"""Instants and spans as users write them."""

import datetime

import numpy as np
import pandas as pd
import pytest

from tests.data.random_events import read
from torchrec_ext.data import by_time, clean, rolling_windows, sessions
from torchrec_ext.data.instants import instant, span
from torchrec_ext.errors import InputError

SEPTEMBER = 999_993_600  # 2001-09-09, 00:00 UTC
DAY = 86_400
UTC = datetime.timezone.utc


@pytest.mark.parametrize(
    "value",
    [
        SEPTEMBER,
        float(SEPTEMBER),
        np.int64(SEPTEMBER),
        str(SEPTEMBER),
        "2001-09-09",
        "2001/09/09",
        "2001-9-9",
        "2001-09-09T02:00+02:00",
        "2001-09-09T02:00:00+02:00",
        "2001-09-09 00:00:00Z",
        datetime.date(2001, 9, 9),
        datetime.datetime(2001, 9, 9),
        datetime.datetime(2001, 9, 8, 19, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
        pd.Timestamp("2001-09-09"),
        pd.Timestamp("2001-09-09", tz="UTC"),
        pd.Timestamp("2001-09-09 09:00", tz="Asia/Tokyo"),
        np.datetime64("2001-09-09"),
        np.datetime64("2001-09-09T00:00:00", "ns"),
    ],
    ids=repr,
)
def test_an_instant_however_it_is_written(value):
    assert instant("valid_from", value) == SEPTEMBER
    events = read([("a", n, SEPTEMBER + (n - 3) * DAY) for n in range(6)])
    train, valid, test = by_time(events, valid_from=value, test_from="2001-09-10")
    assert [part.events.source_rows.tolist() for part in (train, valid, test)] == [[0, 1, 2], [3], [4, 5]]
    assert len(clean(events, where={"timestamp": (value, None)})) == 3


@pytest.mark.parametrize(
    "value", ["soon", "", None, True, float("nan"), float("inf"), "nan", pd.NaT, [1], np.datetime64("NaT")]
)
def test_what_is_no_instant_is_refused(value):
    with pytest.raises(InputError, match="^valid_from should be unix seconds or a date such as 2024-01-31"):
        instant("valid_from", value)


@pytest.mark.parametrize(
    "value",
    [
        "9.9.2001", "9.8.2001", "31.12.2001", "09/08/2001", "08-09-2001", "01-09-08", "Sep 9 2001", "today",
        "2001-13-09", "2001/31/12", "2001-09/08", "2001-02-30", "2001-09-09T25:00", "2001-09-09\n9.8.2001",
    ],
)  # fmt: skip
def test_a_date_is_not_guessed(value):
    with pytest.raises(InputError) as caught:
        instant("valid_from", value)
    assert str(caught.value).endswith(f", received {value!r}; write the year first")
    assert "\n" not in str(caught.value)
    events = read([("a", n, SEPTEMBER + n * DAY) for n in range(6)])
    with pytest.raises(InputError, match="; write the year first$"):
        by_time(events, valid_from=value, test_from="2001-09-10")
    with pytest.raises(InputError, match="^where 'timestamp' .*; write the year first$"):
        clean(events, where={"timestamp": (value, None)})


def test_a_month_begins_with_its_first_day():
    assert instant("valid_from", "2001-09") == SEPTEMBER - 8 * DAY


def test_by_time_names_the_argument():
    events = read([("a", n, SEPTEMBER + n) for n in range(6)])
    with pytest.raises(InputError, match="^test_from should be .*, received 'later'; write the year first$"):
        by_time(events, valid_from="2001-09-09", test_from="later")
    with pytest.raises(InputError, match="valid_from must be before test_from, received 2001-09-10 and 2001"):
        by_time(events, valid_from="2001-09-10", test_from="2001-09-09")


@pytest.mark.parametrize(
    "value",
    [
        2 * DAY,
        str(2 * DAY),
        "2 days",
        "48h",
        datetime.timedelta(days=2),
        pd.Timedelta(days=2),
        np.timedelta64(2, "D"),
    ],
    ids=repr,
)
def test_a_span_however_it_is_written(value):
    assert span("gap", value) == 2 * DAY
    events = read([("a", n, SEPTEMBER + n * DAY) for n in range(8)])
    (parts,) = rolling_windows(events, test_seconds=value, valid_seconds=value, windows=1, gap=0)
    # the newest event is one second old, so two days reach back to the one before it
    assert [len(part) for part in parts] == [4, 2, 2]
    with_gap = by_time(events, valid_from="2001-09-13", test_from="2001-09-15", gap=value)
    assert [part.events.source_rows.tolist() for part in with_gap] == [[0, 1, 2], [4], [6, 7]]
    assert sessions(events, gap=value).count("user") == 1


@pytest.mark.parametrize(
    "value", ["long", None, True, float("nan"), pd.NaT, "NaT", datetime.date(2001, 9, 9)]
)
def test_what_is_no_span_is_refused(value):
    with pytest.raises(InputError, match="^gap should be seconds or a span such as '7 days', received"):
        span("gap", value)
