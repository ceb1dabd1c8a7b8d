"""Nanoseconds keep their order, though seconds of float64 cannot hold them."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torchrec_ext.data import leave_last_out, read_events, sessions
from torchrec_ext.data.reading.fine_times import PER_SECOND, seconds_in_order, seconds_of

BASE = 1_700_000_000 * PER_SECOND
TICKS = BASE + np.array([300, 2, 1, 100, 2, 0])
IN_ORDER = [5, 2, 1, 4, 3, 0]  # the two of 2 keep the order of their rows


def frame(times):
    return pd.DataFrame({"user": 1, "item": range(len(times)), "timestamp": times})


def order(events):
    train, valid, test = leave_last_out(events)
    return [int(i) for i in train.preparation.vocabularies["item"].ids(train.log.items)]


def words(ticks):
    return [f"{pd.Timestamp(int(t)).isoformat()}Z" for t in ticks]


@pytest.mark.parametrize(
    "times",
    [
        TICKS,
        pd.Series(TICKS.astype(np.uint64)),
        pd.Series([*TICKS], dtype=object),
        pd.Series(pd.array(TICKS, dtype="Int64")),
        pd.Series(TICKS.astype("M8[ns]")),
        pd.Series(TICKS.astype("M8[ns]")).dt.tz_localize("UTC").dt.tz_convert("Asia/Tokyo"),
        pd.Series([str(t) for t in TICKS]),
        pd.Series(words(TICKS)),
        pd.Series([w.removesuffix("Z") for w in words(TICKS)]),
        pd.Series(words(TICKS[:2]) + [str(t) for t in TICKS[2:]]),
    ],
    ids=["int64", "uint64", "objects", "Int64", "datetime64", "zone", "digits", "iso", "naive iso", "both"],
)
def test_order_of_a_frame(times):
    events = read_events(frame(times))
    assert order(events) == IN_ORDER
    assert events.source.order == "time" and events.source.ties == 2
    np.testing.assert_allclose(events.columns["timestamp"], 1_700_000_000, atol=1e-6, rtol=0)


def test_order_of_files(tmp_path):
    ticks = frame(TICKS)
    ticks.to_csv(tmp_path / "ticks.csv", index=False)
    ticks.to_parquet(tmp_path / "ticks.parquet")
    frame(pd.Series(words(TICKS))).to_csv(tmp_path / "words.csv", index=False)
    dates = pa.table(
        {**dict(ticks.drop(columns="timestamp")), "timestamp": pa.array(TICKS, pa.timestamp("ns"))}
    )
    pq.write_table(dates, tmp_path / "dates.parquet")
    lines = [json.dumps(row) for row in ticks.to_dict("records")]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    for path in sorted(tmp_path.iterdir()):
        assert order(read_events(path)) == IN_ORDER, path.name


def test_order_of_several_tables_in_several_units(tmp_path):
    """Seconds, microseconds and nanoseconds beside each other; the first table is read first."""
    folder = tmp_path / "events"
    folder.mkdir()
    micro = pd.DataFrame(
        {"user": 1, "item": [0, 1], "timestamp": pd.to_datetime([BASE + 5_000, BASE]).as_unit("us")}
    )
    nano = frame(pd.to_datetime(BASE + np.array([5_001, 4_999, 5_000, 1]))).assign(item=[2, 3, 4, 5])
    micro.to_parquet(folder / "a.parquet")
    nano.to_parquet(folder / "b.parquet")
    assert order(read_events(folder)) == [1, 5, 3, 0, 4, 2]


def test_order_in_a_folder(tmp_path):
    assert order(read_events(frame(TICKS), folder=tmp_path)) == IN_ORDER


def test_missing_times_stay_missing():
    times = pd.Series(pd.array([BASE + 1, None, BASE], dtype="Int64"))
    columns = {"seen": {"column": "seen", "kind": "time"}}
    found = read_events(frame([10, 20, 30]).assign(seen=times), columns=columns).columns["seen"]
    assert np.isnan(found).tolist() == [False, True, False] and found[0] > found[2]


def test_microseconds_are_the_nearest_floats():
    found = read_events(frame(BASE + np.array([123_456_000, 123_457_000]))).columns["timestamp"]
    assert found.tolist() == [1_700_000_000.123456, 1_700_000_000.123457]
    milliseconds = read_events(frame((BASE + np.array([123_000_000, 0])) // 1_000_000)).columns["timestamp"]
    assert milliseconds.tolist() == [1_700_000_000.123, 1_700_000_000]


def test_whole_seconds_stay_integers():
    assert read_events(frame([BASE, BASE + PER_SECOND])).columns["timestamp"].dtype == np.int64


@pytest.mark.parametrize("base", [BASE, 0, -BASE])
def test_distinct_ticks_stay_distinct_and_equal_ones_equal(base):
    rng = np.random.default_rng(0)
    ticks = base + rng.integers(-3000, 3000, 5000)
    found = seconds_in_order(seconds_of(ticks, PER_SECOND), [(0, ticks[:2000]), (2000, ticks[2000:])])
    _, places = np.unique(ticks, return_inverse=True)
    _, expected = np.unique(found, return_inverse=True)
    assert places.tolist() == expected.tolist()


def test_floats_beside_ticks_are_what_they_are_written_as():
    """1.5 microseconds, as a float, lies between 1 and 2 as integers of nanoseconds."""
    seconds = np.array([1.5e-6, np.nan, 0, 0])
    found = seconds_in_order(seconds, [(2, np.array([2000, 1000]))])
    assert np.argsort(found).tolist() == [3, 0, 2, 1]


def test_sessions_see_the_order():
    assert sessions(read_events(frame(TICKS)), gap=1).count("user") == 1
