"""How events were read, cleaned and split is recorded."""

import json

import pandas as pd

from torchrec_ext.data import by_ratio, clean, leave_last_out, open_prepared, prepare, read_events, sessions
from torchrec_ext.data.features import Number
from torchrec_ext.data.recorded_calls import arguments_of

FRAME = pd.DataFrame({"uid": [1, 1, 1, 2, 2, 2], "item": list("abcabc"), "time": range(1000, 7000, 1000)})


def calls(events):
    """The names of the calls, and the arguments after their way through JSON, defaults left out."""
    recorded = json.loads(json.dumps(events.source.calls))
    return [
        (c["call"], {n: v for n, v in arguments_of(c).items() if v not in (None, 0, "all")}) for c in recorded
    ]


def test_reading_and_cleaning(tmp_path):
    path = tmp_path / "events.csv"
    FRAME.to_csv(path, index=False)
    users = pd.DataFrame({"user": [1, 2], "age": [20.0, 30.0]})
    events = read_events(
        path, columns={"user": "uid"}, users=users, user_features={"age": Number(buckets=(20, 25))}
    )
    events = clean(
        sessions(events, 1e6), where={"timestamp": (2000, None), "item": ["a", "b"]}, k_core=(1, 1)
    )
    (read, arguments), *cleaned = calls(events)
    # a table in memory cannot be recorded
    assert read == "read_events" and "users" not in arguments
    assert arguments["source"] == str(path) and arguments["columns"] == {"user": "uid"}
    assert arguments["user_features"]["age"]["kind"] == "number"
    assert arguments["user_features"]["age"]["buckets"] == (20, 25)
    where = {"timestamp": (2000, None), "item": ["a", "b"]}
    assert cleaned == [("sessions", {"gap": 1e6}), ("clean", {"where": where, "k_core": (1, 1)})]
    assert events.source.content["events"]["rows"] == 6, "as it was read, not as it was cleaned"


def test_a_table_in_memory_has_no_source():
    ((call, arguments),) = calls(read_events(FRAME, columns={"user": "uid"}))
    assert call == "read_events" and arguments["columns"] == {"user": "uid"} and "source" not in arguments


def test_splits():
    events = read_events(FRAME, columns={"user": "uid"})
    parts = by_ratio(events, valid=0.2, test=0.2, seed=3)
    expected = {"valid": 0.2, "test": 0.2, "seed": 3, "min_count": 1}
    for part in parts:
        assert part.report.call == {"call": "by_ratio", "arguments": expected}
    assert parts[0].report is parts[1].report


def test_prepared_data_keeps_the_record(tmp_path):
    FRAME.to_csv(tmp_path / "events.csv", index=False)
    folder = tmp_path / "ready"
    prepare(tmp_path / "events.csv", folder, read={"columns": {"user": "uid"}}, clean_by={"k_core": 1})
    train = open_prepared(folder)[0]
    expected = clean(read_events(tmp_path / "events.csv", columns={"user": "uid"}), k_core=1).source
    assert json.loads(json.dumps(train.table.source.calls)) == json.loads(json.dumps(expected.calls))
    assert train.table.source.content == expected.content
    assert train.table.source.prepared == str(folder)
    assert train.report.call == leave_last_out(train.table)[0].report.call
