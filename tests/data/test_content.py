"""Whether rows were added to what was read before, or others changed."""

import gzip

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import read_events
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


def test_rows_of_each_table_and_a_checksum_of_each_column():
    assert {table: content["rows"] for table, content in CONTENT.items()} == {"events": 4, "users": 2}
    assert list(CONTENT["events"]["sha256"]) == ["user", "item", "timestamp", "rating"]
    assert list(CONTENT["users"]["sha256"]) == ["user", "age", "tags"]


@pytest.mark.parametrize(
    "events",
    [
        read(),
        read(more(user=4, item="y", timestamp=5, rating=1)),
        read(more(user=4, item="new", timestamp=5.5, rating=1.5)),  # whole numbers become floats
        read(users=pd.concat([USERS, USERS.assign(user=[4, 5])])),
        read(FRAME.assign(colour="red")),
    ],
)
def test_added_rows_are_no_change(events):
    assert find_change(events, CONTENT) is None


@pytest.mark.parametrize(
    ("events", "change"),
    [
        (read(FRAME[:3]), "the events: 3 rows are left of 4"),
        (read(FRAME.assign(item=["x", "y", "x", "y"])), "column 'item' of the events differs"),
        (read(FRAME.iloc[[1, 0, 2, 3]]), "column 'item' of the events differs"),
        (read(FRAME.assign(rating=[1, 2, 3, 4.5])), "column 'rating' of the events differs"),
        (read(FRAME.drop(columns="timestamp")), "column 'timestamp' of the events differs"),
        (read(users=USERS.assign(age=[20.5, 31.5])), "column 'age' of the table of users differs"),
        (read(users=USERS.assign(tags=[["a"], ["b"]])), "column 'tags' of the table of users differs"),
        (read(users=USERS[:1]), "the table of users: 1 rows are left of 2"),
        (read(users=None), "the table of users: 0 rows are left of 2"),
    ],
)
def test_a_change_is_named(events, change):
    assert find_change(events, CONTENT) == change


def test_the_format_of_a_file_does_not_matter(tmp_path):
    content = Content(read(users=None))
    FRAME.to_csv(tmp_path / "a.csv", index=False)
    FRAME.to_parquet(tmp_path / "a.parquet")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    for name in ("a.csv", "a.parquet", "a.csv.gz"):
        assert Content(read_events(tmp_path / name)) == content


def test_long_columns_are_read_in_pieces(monkeypatch):
    monkeypatch.setattr("torchrec_ext.data.content._PIECE", 3)
    assert Content(read()) == CONTENT


def test_missing_values_and_numbers_of_any_width():
    def frame(rating):
        return read_events(pd.DataFrame({"user": [1, 1], "item": [7, 8], "v": rating}), columns={"v": "v"})

    vectors = [np.float32([1, 2]), np.float32([3, 4])]
    for rating, other in (([1.5, np.nan], [1.5, 0.0]), (["a", None], [None, "a"]), (vectors, vectors[::-1])):
        content = Content(frame(rating))
        assert find_change(frame(rating), content) is None
        assert find_change(frame(other), content) == "column 'v' of the events differs"
