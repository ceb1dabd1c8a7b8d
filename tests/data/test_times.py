"""Instants and spans as users write them, compared exactly with times, which are kept to the nanosecond."""

import datetime
import json
from fractions import Fraction

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.data.random_events import read
from torchrec_ext.data import by_time, clean, leave_last_out, read_events, rolling_windows, sessions
from torchrec_ext.data.instants import instant, span
from torchrec_ext.errors import InputError

SEPTEMBER = 999_993_600  # 2001-09-09, 00:00 UTC
DAY = 86_400
NANOSECOND = Fraction(1, 10**9)
DAYS = read([("a", n, SEPTEMBER + (n - 3) * DAY) for n in range(6)])


@pytest.mark.parametrize(
    "value",
    [
        SEPTEMBER, float(SEPTEMBER), np.int64(SEPTEMBER), str(SEPTEMBER), "2001-09-09", "2001/09/09",
        "2001-9-9", "2001-09-09T02:00+02:00", "2001-09-09 00:00:00Z", datetime.date(2001, 9, 9),
        datetime.datetime(2001, 9, 8, 19, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))),
        pd.Timestamp("2001-09-09 09:00", tz="Asia/Tokyo"), pd.Period("2001-09-09", "D"),
        pd.Period("2001-09-12", "W-SAT"), np.datetime64("2001-09-09T00:00:00", "ns"),
    ],
    ids=repr,
)  # fmt: skip
def test_an_instant_however_it_is_written(value):
    assert instant("valid_from", value) == SEPTEMBER
    parts = by_time(DAYS, valid_from=value, test_from="2001-09-10")
    assert [part.events.source_rows.tolist() for part in parts] == [[0, 1, 2], [3], [4, 5]]
    assert len(clean(DAYS, where={"timestamp": (value, None)})) == 3


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("2001-09", SEPTEMBER - 8 * DAY),  # a month begins with its first day
        (pd.Period("2001-09", "M"), SEPTEMBER - 8 * DAY),
        ("2001-09-09T00:00:00.000000001Z", SEPTEMBER + NANOSECOND),
        (pd.Timestamp("1969-12-31T23:59:59.999999999"), -NANOSECOND),
        (f"{SEPTEMBER}.000000001", SEPTEMBER + NANOSECOND),
        (np.float32(0.7), Fraction(7, 10)),  # as it is written
        ("2500-01-01", 16_725_225_600),  # beyond 64 bits of nanoseconds
    ],
)
def test_an_instant_is_exact(value, exact):
    assert instant("valid_from", value) == exact


@pytest.mark.parametrize(
    "value", ["soon", "", None, True, float("nan"), float("inf"), "nan", pd.NaT, [1], np.datetime64("NaT")]
)
def test_what_is_no_instant_and_no_span_is_refused(value):
    with pytest.raises(InputError, match="^valid_from should be unix seconds or a date such as 2024-01-31"):
        instant("valid_from", value)
    for no_span in (value, datetime.date(2001, 9, 9)):
        with pytest.raises(InputError, match="^gap should be seconds or a span such as '7 days', received"):
            span("gap", no_span)


@pytest.mark.parametrize(
    "value",
    [
        "9.9.2001", "31.12.2001", "09/08/2001", "08-09-2001", "01-09-08", "Sep 9 2001", "today", "2001-13-09",
        "2001/31/12", "2001-09/08", "2001-02-30", "2001-09-09T25:00", "2001-09-09\n9.8.2001",
    ],
)  # fmt: skip
def test_a_date_is_not_guessed(value):
    with pytest.raises(InputError, match="^test_from should be .*; write the year first$") as caught:
        by_time(DAYS, valid_from="2001-09-09", test_from=value)
    assert f", received {value!r};" in str(caught.value)
    with pytest.raises(InputError, match="^where 'timestamp' .*; write the year first$"):
        clean(DAYS, where={"timestamp": (value, None)})


@pytest.mark.parametrize(
    "value",
    [2 * DAY, str(2 * DAY), "48h", datetime.timedelta(days=2), pd.Timedelta(days=2), np.timedelta64(2, "D")],
    ids=repr,
)
def test_a_span_however_it_is_written(value):
    assert span("gap", value) == 2 * DAY
    # the newest event is one second old, so two days reach back to the one before it
    (parts,) = rolling_windows(DAYS, test_seconds=value, valid_seconds=value, windows=1)
    assert [len(part) for part in parts] == [2, 2, 2]
    parts = by_time(DAYS, valid_from="2001-09-08", test_from="2001-09-11", gap=value)
    assert [part.events.source_rows.tolist() for part in parts] == [[0], [2, 3], [5]]
    assert sessions(DAYS, gap=value).count("user") == 1


def in_nanoseconds(ticks):
    """Events of one user at nanoseconds after September."""
    times = np.array(ticks) + SEPTEMBER * 10**9
    return read_events(pd.DataFrame({"user": "a", "item": range(len(ticks)), "timestamp": times}))


def test_nanoseconds_stay_apart():
    events = in_nanoseconds([3, 1, 2, 0, 4])
    at = [pd.Timestamp(SEPTEMBER * 10**9 + n) for n in range(6)]
    (window,) = rolling_windows(events, test_seconds="1ns", windows=1)
    by_bound = by_time(events, valid_from=f"{SEPTEMBER}.000000003", test_from=at[4])
    for parts in (leave_last_out(events), window, by_bound):
        assert [sorted(part.events.source_rows) for part in parts] == [[1, 2, 3], [0], [4]]
        assert (parts[0].report.late, parts[0].report.first_test) == (0, SEPTEMBER + 4e-9)
    gapped = by_time(events, valid_from=at[2], test_from=at[4], gap=1.5e-9)
    assert [part.events.source_rows.tolist() for part in gapped] == [[3], [2], [4]]
    for wanted, items in (((at[1], at[2]), [1, 2]), ([at[4], at[5]], [4])):
        assert clean(events, where={"timestamp": wanted}).frame["item"].tolist() == items
    cut = sessions(in_nanoseconds([0, 10, 21, 31]), gap="10ns")
    assert cut.frame["user"].tolist() == ["a#1", "a#1", "a#2", "a#2"]


def test_a_bound_between_whole_seconds_is_not_rounded():
    after = "2001-09-08T00:00:00.000000001Z"
    for bounds, items in (((after, None), [3, 4, 5]), ((None, after), [0, 1, 2])):
        assert clean(DAYS, where={"timestamp": bounds}).frame["item"].tolist() == items
    parts = by_time(DAYS, valid_from=after, test_from=f"{SEPTEMBER}.5")
    assert [part.events.source_rows.tolist() for part in parts] == [[0, 1, 2], [3], [4, 5]]


PER_SECOND = 10**9
BASE = 1_700_000_000 * PER_SECOND
TICKS = BASE + np.array([300, 2, 1, 100, 2, 0])
IN_ORDER = [5, 2, 1, 4, 3, 0]  # the two of 2 keep the order of their rows


def frame(times):
    return pd.DataFrame({"user": 1, "item": range(len(times)), "timestamp": times})


def order(events):
    """The items in order of time."""
    assert events.ticks_per_second == PER_SECOND
    return events.frame["item"].to_numpy()[np.argsort(events.ticks, kind="stable")].tolist()


WORDS = [f"{pd.Timestamp(int(tick)).isoformat()}Z" for tick in TICKS]
DIGITS = [str(tick) for tick in TICKS]


@pytest.mark.parametrize(
    "times",
    [
        TICKS, TICKS.astype(np.uint64), pd.Series([*TICKS], dtype=object), pd.array(TICKS, dtype="Int64"),
        TICKS.astype("M8[ns]"), pd.DatetimeIndex(TICKS, tz="UTC").tz_convert("Asia/Tokyo"),
        DIGITS, WORDS, [word.removesuffix("Z") for word in WORDS], WORDS[:2] + DIGITS[2:],
    ],
    ids=["int64", "uint64", "objects", "Int64", "datetime64", "zone", "digits", "iso", "naive iso", "both"],
)  # fmt: skip
def test_order_of_a_frame_and_of_files(tmp_path, times):
    table = frame(times)
    table.to_csv(tmp_path / "events.csv", index=False)
    table.to_parquet(tmp_path / "events.parquet")
    lines = "\n".join(json.dumps(row, default=str) for row in table.to_dict("records"))
    (tmp_path / "events.jsonl").write_text(lines)
    sources = [table, *sorted(tmp_path.iterdir())]
    for events in (*map(read_events, sources), read_events(table, folder=tmp_path / "columns")):
        assert order(events) == IN_ORDER and events.ticks.tolist() == TICKS.tolist()
        assert (events.source.order, events.source.ties) == ("time", 2)


def test_order_of_several_tables_in_several_units(tmp_path):
    """Microseconds and nanoseconds beside each other; the first table is read first."""
    micro = pd.to_datetime([BASE + 5_000, BASE]).as_unit("us")
    nano = pd.to_datetime(BASE + np.array([5_001, 4_999, 5_000, 1]))
    (tmp_path / "events").mkdir()
    frame(micro).to_parquet(tmp_path / "events" / "a.parquet")
    frame(nano).assign(item=[2, 3, 4, 5]).to_parquet(tmp_path / "events" / "b.parquet")
    assert order(read_events(tmp_path / "events")) == [1, 5, 3, 0, 4, 2]


def test_missing_times_stay_missing():
    seen = frame([10, 20, 30]).assign(seen=pd.array([BASE + 1, None, BASE], dtype="Int64"))
    found = read_events(seen, columns={"seen": {"kind": "time"}}).column("seen")
    assert found.cast(pa.int64()).to_pylist() == [BASE + 1, None, BASE]


@pytest.mark.parametrize(
    ("ticks", "seconds"),
    [
        (BASE + np.array([123_456_000, 123_457_000]), [1_700_000_000.123456, 1_700_000_000.123457]),
        ((BASE + np.array([123_000_000, 0])) // 1_000_000, [1_700_000_000.123, 1_700_000_000]),
        (np.array([BASE, BASE + PER_SECOND]), [1_700_000_000, 1_700_000_001]),
        (-BASE + np.array([1_000, 2_000]), [-1_699_999_999.999999, -1_699_999_999.999998]),
    ],
)
def test_coarser_times_are_the_nearest_seconds(ticks, seconds):
    events = read_events(frame(ticks))
    assert events.ticks.tolist() == seconds and events.ticks_per_second == 1
    assert events.ticks.dtype == np.array(seconds).dtype
