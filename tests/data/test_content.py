"""Whether rows were added to what was read before, or others changed."""

import copy
import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from torchrec_ext.data import clean, read_events
from torchrec_ext.data.content import Content, find_change

FRAME = pd.DataFrame({
    "user": [3, 3, 9, 9], "item": ["x", "y", "x", "z"], "timestamp": [10, 20, 20, 30], "rating": [1, 2, 3, 4],
})  # fmt: skip
USERS = pd.DataFrame({"user": [3, 9], "age": [20.5, 30.5], "tags": [["a"], ["b", "c"]]})


def read(frame=FRAME, users=USERS):
    return read_events(frame, users=users)


CONTENT = Content(read())


def more(**columns):
    return pd.concat([FRAME, pd.DataFrame({name: [value] for name, value in columns.items()})])


@pytest.mark.parametrize(
    ("events", "change"),
    [
        (read(), None),
        (read(more(user=4, item="y", timestamp=5, rating=1)), None),
        (read(more(user=4, item="new", timestamp=5.5, rating=1.5)), None),  # whole numbers become floats
        (read(users=pd.concat([USERS, USERS.assign(user=[4, 5])])), None),
        (read(FRAME.assign(colour="red")), None),
        (read(FRAME[:3]), "the events: 3 rows are left of 4"),
        (read(FRAME.assign(item=["x", "y", "x", "y"])), "column 'item' of the events differs"),
        (read(FRAME.iloc[[1, 0, 2, 3]]), "column 'item' of the events differs"),
        (read(FRAME.assign(rating=[1, 2, 3, 4.5])), "column 'rating' of the events differs"),
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
    assert type(content) is dict and content == CONTENT == copy.deepcopy(events.source.content)
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


@pytest.mark.parametrize(
    ("column", "other"),
    [
        ([1.5, np.nan], [1.5, 0.0]),
        (["a", None], [None, "a"]),
        ([np.float32([1, 2]), np.float32([3, 4])], [np.float32([3, 4]), np.float32([1, 2])]),
    ],
)
def test_missing_values_and_vectors(column, other):
    one, same, changed = (
        read_events(pd.DataFrame({"user": [1, 1], "item": [7, 8], "v": values}), columns={"v": "v"})
        for values in (column, column, other)
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
