"""What is recorded of events: their content, and the calls that read, cleaned and split them."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext import data
from torchrec_ext.data import by_time, clean, read_events, sessions
from torchrec_ext.data.content import Content, find_change
from torchrec_ext.data.features import Number
from torchrec_ext.data.recorded_calls import arguments_of

FRAME = pd.DataFrame({
    "user": [3, 3, 9, 9], "item": ["x", "y", "x", "z"], "timestamp": [10, 20, 20, 30], "rating": [1, 2, 3, 4],
})  # fmt: skip
USERS = pd.DataFrame({"user": [3, 9], "age": [20.5, 30.5], "tags": [["a"], ["b", "c"]]})


def read(frame=FRAME, users=USERS):
    return read_events(frame, users=users)


def more(*row):
    return pd.concat([FRAME, pd.DataFrame([row], columns=FRAME.columns)])


CONTENT = Content(read())


@pytest.mark.parametrize(
    ("events", "change"),
    [
        (read(), None),
        (read(more(4, "y", 5, 1)), None),
        (read(more(4, "new", 5.5, 1.5)), None),  # whole numbers become floats
        (read(FRAME.assign(colour="red")), None),
        (read(FRAME[:3]), "the events: 3 rows are left of 4"),
        (read(FRAME.assign(item=["x", "y", "x", "y"])), "column 'item' of the events differs"),
        (read(FRAME.drop(columns="timestamp")), "column 'timestamp' of the events differs"),
        (read(users=USERS.assign(age=[20.5, 31.5])), "column 'age' of the table of users differs"),
        (read(users=USERS.assign(tags=[["a"], ["b"]])), "column 'tags' of the table of users differs"),
        (read(users=None), "the table of users: 0 rows are left of 2"),
    ],
)
def test_a_change_is_named_and_added_rows_are_none(events, change):
    assert find_change(events, CONTENT) == change


def test_it_is_that_of_what_was_read_and_the_same_as_in_earlier_releases():
    events = clean(read(), min_rating=3)
    content = dataclasses.asdict(events.source)["content"]
    assert type(content) is dict and content == CONTENT
    assert {table: found["rows"] for table, found in content.items()} == {"events": 4, "users": 2}
    sums = {name: found[:8] for table in content.values() for name, found in table["sha256"].items()}
    assert sums == {
        "user": "f78f4594", "item": "3899c933", "timestamp": "8918621f", "rating": "6bab56d2",
        "age": "16657562", "tags": "5f3c165e",
    }  # fmt: skip


def test_neither_the_format_nor_the_pieces_of_a_file_matter(tmp_path, monkeypatch):
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    FRAME.to_parquet(tmp_path / "a.parquet")
    monkeypatch.setattr("torchrec_ext.data.content._PIECE", 3)
    for name in ("a.csv", "a.parquet"):
        assert Content(read_events(tmp_path / name))["events"] == CONTENT["events"]


@pytest.mark.parametrize("column", [[1.5, np.nan], ["a", None], [np.float32([1, 2]), np.float32([3, 4])]])
def test_missing_values_and_vectors(column):
    one, same, changed = (
        read_events(pd.DataFrame({"user": 1, "item": 7, "v": values}), columns={"v": "v"})
        for values in (column, column, column[::-1])
    )
    assert find_change(same, Content(one)) is None
    assert find_change(changed, Content(one)) == "column 'v' of the events differs"


def test_whole_seconds_and_nanoseconds_of_one_time_are_the_same():
    def at(nanosecond):
        ticks = np.array([10, 20, 20, 30]) * 10**9 + [0, 0, 0, nanosecond]
        events, times = read(), pa.array(ticks).cast(pa.timestamp("ns"))
        return dataclasses.replace(events, table=events.table.set_column(2, "timestamp", times))

    assert find_change(at(0), CONTENT) is None
    for before in (CONTENT, Content(at(1))):
        assert find_change(at(2), before) == "column 'timestamp' of the events differs"


VISITS = pd.DataFrame({"uid": [1, 1, 1, 2, 2, 2], "item": list("abcabc"), "time": range(1000, 7000, 1000)})
COLUMNS = {"columns": {"user": "uid"}}


def through_json(calls):
    """The names of the calls, and the arguments after their way through JSON, defaults left out."""
    return [
        (
            name,
            {n: v for n, v in arguments_of(call, getattr(data, name)).items() if v not in (None, 0, "all")},
        )
        for call in json.loads(json.dumps(calls))
        for name in [call["call"]]
    ]


def test_a_split_by_times_can_be_made_again():
    events = read_events(VISITS, **COLUMNS)
    first, gap = pd.Timestamp("1970-01-01T01:00:00.000000001"), np.timedelta64(5, "ns")
    parts = by_time(events, valid_from=first, test_from=5000, gap=gap)
    call = json.loads(json.dumps(parts[0].report.call))
    assert call["call"] == "by_time" and all(part.report is parts[0].report for part in parts)
    again = by_time(events, **arguments_of(call, by_time))
    assert again[0].report.protocol == parts[0].report.protocol
    assert [part.rows.tolist() for part in again] == [part.rows.tolist() for part in parts]


def test_reading_and_cleaning(tmp_path):
    path, where = tmp_path / "events.csv", {"timestamp": (2000, None), "item": ["a", "b"]}
    VISITS.to_csv(path, index=False)
    users = pd.DataFrame({"user": [1, 2], "age": [20.0, 30.0]})
    events = read_events(path, **COLUMNS, users=users, user_features={"age": Number(buckets=(20, 25))})
    events = clean(sessions(events, 1e6), where=where, k_core=(1, 1))
    (name, read), *cleaned = through_json(events.source.calls)
    assert name == "read_events" and "users" not in read  # a table in memory cannot be recorded
    assert (read["source"], read["columns"]) == (str(path), {"user": "uid"})
    assert read["user_features"]["age"].items() >= {"kind": "number", "buckets": (20, 25)}.items()
    assert cleaned == [("sessions", {"gap": 1e6}), ("clean", {"where": where, "k_core": (1, 1)})]
    assert events.source.content["events"]["rows"] == 6, "as it was read, not as it was cleaned"
