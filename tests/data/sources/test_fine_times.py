"""Times finer than a microsecond are kept as nanoseconds, others as the nearest seconds."""

import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data import read_events

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


def words(ticks):
    return [f"{pd.Timestamp(int(t)).isoformat()}Z" for t in ticks]


@pytest.mark.parametrize(
    "times",
    [
        TICKS, TICKS.astype(np.uint64), pd.Series([*TICKS], dtype=object), pd.array(TICKS, dtype="Int64"),
        TICKS.astype("M8[ns]"), pd.DatetimeIndex(TICKS, tz="UTC").tz_convert("Asia/Tokyo"),
        [str(t) for t in TICKS], words(TICKS), [w.removesuffix("Z") for w in words(TICKS)],
        words(TICKS[:2]) + [str(t) for t in TICKS[2:]],
    ],
    ids=["int64", "uint64", "objects", "Int64", "datetime64", "zone", "digits", "iso", "naive iso", "both"],
)  # fmt: skip
def test_order_of_a_frame(times):
    events = read_events(frame(times))
    assert order(events) == IN_ORDER
    assert events.source.order == "time" and events.source.ties == 2
    assert events.ticks.tolist() == TICKS.tolist()


def test_order_of_files(tmp_path):
    ticks = frame(TICKS)
    ticks.to_csv(tmp_path / "ticks.csv", index=False)
    ticks.to_parquet(tmp_path / "ticks.parquet")
    frame(words(TICKS)).to_csv(tmp_path / "words.csv", index=False)
    frame(TICKS.astype("M8[ns]")).to_parquet(tmp_path / "dates.parquet")
    lines = [json.dumps(row) for row in ticks.to_dict("records")]
    (tmp_path / "lines.jsonl").write_text("\n".join(lines))
    for path in sorted(tmp_path.iterdir()):
        assert order(read_events(path)) == IN_ORDER, path.name
    assert order(read_events(ticks, folder=tmp_path / "columns")) == IN_ORDER


def test_order_of_several_tables_in_several_units(tmp_path):
    """Seconds, microseconds and nanoseconds beside each other; the first table is read first."""
    folder = tmp_path / "events"
    folder.mkdir()
    micro = frame(pd.to_datetime([BASE + 5_000, BASE]).as_unit("us"))
    nano = frame(pd.to_datetime(BASE + np.array([5_001, 4_999, 5_000, 1]))).assign(item=[2, 3, 4, 5])
    micro.to_parquet(folder / "a.parquet")
    nano.to_parquet(folder / "b.parquet")
    assert order(read_events(folder)) == [1, 5, 3, 0, 4, 2]


def test_missing_times_stay_missing():
    times = pd.Series(pd.array([BASE + 1, None, BASE], dtype="Int64"))
    seen = frame([10, 20, 30]).assign(seen=times)
    found = read_events(seen, columns={"seen": {"kind": "time"}}).column("seen")
    assert found.type == pa.timestamp("ns") and found.cast(pa.int64()).to_pylist() == [BASE + 1, None, BASE]


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
    whole = seconds == [int(second) for second in seconds]
    assert events.ticks.dtype == (np.int64 if whole else np.float64)
