"""Files of a line a user."""

import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.sources.read import read_events


def test_the_user_then_items_in_their_order(tmp_path):
    path = write(tmp_path / "h.txt", "7 12 5 12\n\n  9\t3\n")
    events = read_events(path, format="histories")
    assert rows(events) == [
        {"user": user, "item": item, "timestamp": place}
        for user, item, place in [(7, 12, 0), (7, 5, 1), (7, 12, 2), (9, 3, 0)]
    ]
    assert events.source.order == "order" and list(events.source.files) == ["h.txt"]
    packed = write(tmp_path / "h.txt.gz", path.read_bytes())
    assert rows(read_events(packed, format="histories")) == rows(events)


def test_ids_are_as_given(tmp_path):
    path = write(tmp_path / "h.txt", "\ufeffann 007 8\r\nbob 7\r\n")
    frame = read_events(path, format="histories").frame
    assert frame[["user", "item"]].values.tolist() == [["ann", "007"], ["ann", "8"], ["bob", "7"]]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"\n1 2\n\n3\n", "line 4 of {path} holds a user and no item"),
        (b" \n\n", "{path} holds blank lines alone"),
        (b"", "{path} is empty"),
        ("1 é".encode("latin-1"), "{path} is not UTF-8"),
    ],
)
def test_what_is_none_is_refused(tmp_path, raw, said):
    path = write(tmp_path / "h.txt", raw)
    assert said.format(path=path) in refused(path, format="histories")
    assert "no file" in refused(tmp_path / "no.txt", format="histories")


def test_pairs_are_refused_with_the_right_format_and_lines_of_a_user_joined_if_they_follow(tmp_path):
    pairs = write(tmp_path / "pairs.txt", "1 7\n1 8\n2 7\n")
    assert "format='csv', delimiter=' '" in refused(pairs, format="histories")
    apart = write(tmp_path / "h.txt", "1 7 9\n2 7\n1 8\n")
    assert "several lines of one user" in refused(apart, format="histories")
    events = read_events(write(tmp_path / "h.txt", "1 7 9\n1 8\n2 7\n"), format="histories", order="time")
    assert events.ticks.tolist() == [0, 1, 2, 0] and events.source.order == "order"
    read = read_events(pairs, format="csv", delimiter=" ", header=["user", "item"])
    assert read.frame["item"].tolist() == [7, 8, 7] and read.source.order == "none"
