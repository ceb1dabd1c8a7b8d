"""How events were read, cleaned and split is recorded."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import by_time, clean, open_prepared, prepare, read_events, sessions
from torchrec_ext.data.features import Number
from torchrec_ext.data.recorded_calls import arguments_of

FRAME = pd.DataFrame({"uid": [1, 1, 1, 2, 2, 2], "item": list("abcabc"), "time": range(1000, 7000, 1000)})
COLUMNS = {"columns": {"user": "uid"}}


def through_json(calls):
    """The names of the calls, and the arguments after their way through JSON, defaults left out."""
    return [
        (call["call"], {n: v for n, v in arguments_of(call).items() if v not in (None, 0, "all")})
        for call in json.loads(json.dumps(calls))
    ]


def test_reading_and_cleaning(tmp_path):
    path, where = tmp_path / "events.csv", {"timestamp": (2000, None), "item": ["a", "b"]}
    FRAME.to_csv(path, index=False)
    users = pd.DataFrame({"user": [1, 2], "age": [20.0, 30.0]})
    events = read_events(path, **COLUMNS, users=users, user_features={"age": Number(buckets=(20, 25))})
    events = clean(sessions(events, 1e6), where=where, k_core=(1, 1))
    (read, arguments), *cleaned = through_json(events.source.calls)
    # a table in memory cannot be recorded
    assert read == "read_events" and "users" not in arguments
    assert arguments["source"] == str(path) and arguments["columns"] == {"user": "uid"}
    age = arguments["user_features"]["age"]
    assert (age["kind"], age["buckets"]) == ("number", (20, 25))
    assert cleaned == [("sessions", {"gap": 1e6}), ("clean", {"where": where, "k_core": (1, 1)})]
    assert events.source.content["events"]["rows"] == 6, "as it was read, not as it was cleaned"
    ((_, arguments),) = through_json(read_events(FRAME, **COLUMNS).source.calls)
    assert "source" not in arguments and arguments["columns"] == {"user": "uid"}


@pytest.mark.parametrize(
    ("first", "gap"),
    [
        (np.datetime64("1970-01-01T01:00:00", "ns"), np.timedelta64(5, "ns")),
        (pd.Period("1970-01-01T01", "h"), datetime.timedelta(seconds=1)),
        (pd.Timestamp("1970-01-01T01:00:00.000000001"), pd.Timedelta("5ns")),
    ],
)
def test_a_split_by_times_can_be_made_again(first, gap):
    events = read_events(FRAME, **COLUMNS)
    parts = by_time(events, valid_from=first, test_from=5000, gap=gap)
    call = json.loads(json.dumps(parts[0].report.call))
    assert call["call"] == "by_time" and all(part.report is parts[0].report for part in parts)
    again = by_time(events, **arguments_of(call))
    assert again[0].report.protocol == parts[0].report.protocol
    assert [part.rows.tolist() for part in again] == [part.rows.tolist() for part in parts]


def test_prepared_data_keeps_the_record(tmp_path):
    FRAME.to_csv(tmp_path / "events.csv", index=False)
    folder = tmp_path / "ready"
    made = prepare(tmp_path / "events.csv", folder, read=COLUMNS, clean_by={"k_core": 1})
    train = open_prepared(folder)[0]
    source = clean(read_events(tmp_path / "events.csv", **COLUMNS), k_core=1).source
    assert through_json(train.table.source.calls) == through_json(source.calls)
    assert (train.table.source.content, train.table.source.prepared) == (source.content, str(folder))
    assert train.report.call == made[0].report.call and train.report.call["call"] == "leave_last_out"
