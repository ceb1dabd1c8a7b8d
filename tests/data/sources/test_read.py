"""Reading tables: ids as given, columns found, one-line errors."""

import csv
import gzip
import hashlib
import logging

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.sources.tables import file, refused
from torchrec_ext.data.sources.read import read_events

INTEGERS = st.integers(-(2**63), 2**63 - 1)
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
WORDS = st.text(CHARACTERS, min_size=1, max_size=8).filter(lambda word: not word.lstrip("-").isdigit())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(INTEGERS, WORDS), min_size=1, max_size=6), st.booleans())
def test_ids_come_back_as_given_from_memory_and_files(tmp_path_factory, ids, integers_first):
    frame = pd.DataFrame(ids, columns=["user", "item"] if integers_first else ["item", "user"])
    folder = tmp_path_factory.mktemp("ids")
    frame.to_parquet(folder / "events.parquet")
    frame.to_csv(folder / "events.csv", index=False, quoting=csv.QUOTE_ALL)
    for source in (frame, folder / "events.parquet", folder / "events.csv"):
        pd.testing.assert_frame_equal(read_events(source).frame[[*frame]], frame, check_dtype=False)


def test_rows_set_aside_decide_nothing_and_are_counted(tmp_path, caplog):
    path = file(tmp_path, "user,item,rating\n1,7,5\n,a,5\n2,,5\n2,b,\n3,8,1\n")
    events = read_events(path, max_bad_share=0.6)
    assert events.frame[["user", "item"]].values.tolist() == [[1, 7], [3, 8]]
    assert "set aside 3 rows of 5 (2 missing id, 1 missing number)" in caplog.text
    (step,) = events.source.steps
    assert (step.removed, step.left, step.users, step.items, events.source.rows) == (3, 2, 2, 2, 5)


def test_common_names_are_found_and_said_and_rows_keep_their_order(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    text = "ts,movieId,User_ID,stars,price\n20,007,9,4,1\n10,x,1,2.5,2\n".replace(",", "\t")
    frame = read_events(file(tmp_path, text, "events.tsv.gz")).frame
    assert frame.to_dict("list") == {
        "user": [9, 1], "item": ["007", "x"], "timestamp": [20, 10], "rating": [4.0, 2.5],
    }  # fmt: skip
    assert frame["user"].dtype == np.int64 and frame["timestamp"].dtype == np.int64
    assert "took User_ID as user, movieId as item, ts as timestamp, stars as rating" in caplog.text


@pytest.mark.parametrize(
    ("users", "times", "order"),
    [
        ("abaab", [2, 0, 1, 0, 1], "order"),
        ("aba", [1, 1, 2], "order"),  # counted from 1
        ("abaab", [2, 0, 1, 0, 3], "time"),  # b has no place 3
        ("ab", [0.5, 1], "time"),
        ("aa", [-1, 0], "time"),
        ("aaaaaa", [0, 0, 0, 1, 1, 1], "time"),  # days rather than places
    ],
)
def test_places_in_a_history_are_no_time(users, times, order):
    source = read_events(pd.DataFrame({"user": [*users], "item": 1, "timestamp": times})).source
    assert source.order == order and ("not a time" in source.ordering) == (order == "order")


def test_ties_are_all_events_that_share_user_and_time():
    for users, times in (("aaaba", [9, 9, 9, 9, 8.5]), ("aaaab", [8.5, 9, 9, 9, 9])):
        source = read_events(pd.DataFrame({"user": [*users], "item": 1, "timestamp": times})).source
        assert source.ties == 3 and "3 share user and timestamp with another" in source.ordering


def test_the_source_has_the_checksums_of_the_files_as_they_lie_there(tmp_path):
    path = file(tmp_path, "user,item\n1,2\n", "events.csv.gz")
    side = file(tmp_path, "user,age\n1,30\n", "people.csv")
    source = read_events(path, users=side).source
    assert source.files == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, side)}
    assert source.sha256 == source.files["events.csv.gz"]


@pytest.mark.parametrize(("events", "items"), [(["2", "x"], [2, 3]), (["2", "2"], [2, "x"])])
def test_ids_of_a_side_table_in_text_are_of_the_kind_of_the_events(tmp_path, events, items):
    path = file(tmp_path, "user,item\n" + "".join(f"1,{item}\n" for item in events))
    side = file(tmp_path, "item,price\n" + "".join(f"{item},1\n" for item in items), "items.csv")
    read = read_events(path, items=side)
    assert read.frame["item"].tolist() == events and read.items["item"].tolist() == [str(i) for i in items]


def test_files_cut_short_are_named(tmp_path):
    whole = gzip.compress(b"user,item\n" + b"1,2\n" * 100_000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert "cut short" in refused(tmp_path / "cut.csv.gz")
    pd.DataFrame({"user": [1], "item": [2]}).to_parquet(tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    assert f"cannot read {tmp_path / 'cut.parquet'}" in refused(tmp_path / "cut.parquet")


@pytest.mark.parametrize(
    "words",
    [[7, -3, 0], [7, 2**63 - 1], *(["7", w] for w in ("07", "+7", "-0", "0x1F", "7.0", str(2**63), "NA"))],
)
def test_a_text_id_is_an_integer_only_if_all_are_and_none_would_change(tmp_path, words):
    events = read_events(file(tmp_path, "user,item\n" + "".join(f"1,{word}\n" for word in words)))
    assert events.frame["item"].tolist() == words


def test_above_the_share_bad_rows_are_an_error_that_shows_them(tmp_path):
    path, columns = file(tmp_path, "user,item,when\n1,2,5\n1,2,noon\n"), {"timestamp": "when"}
    message = refused(path, columns=columns, max_bad_share=0.49)
    assert "1 of 2 rows" in message and "more than 49.00%" in message
    assert "1 with unparsable time (line 3, column 'when': 'noon')" in message
    assert len(read_events(path, columns=columns, max_bad_share=0.5)) == 1


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([1.0, np.nan], "column 'user' of the DataFrame are floats (such as 1.0)"),
        (["a", 2], "column 'user' of the DataFrame holds integers (2) and strings ('a')"),
        ([True, False], "are booleans"),
        ([b"a", b"b"], "are bytes"),
        ([1, 2**63], "is beyond 64 bits"),
    ],
)
def test_ids_of_other_kinds_are_refused(users, said):
    assert said in refused(pd.DataFrame({"user": users, "item": [1, 2]}))


ROW = "user,item\n1,2\n"


@pytest.mark.parametrize(
    ("text", "arguments", "said"),
    [
        ("a,b\n1,2\n", {}, "has no column for user and item; it has a, b: say --columns user=NAME"),
        (ROW, {"columns": {"user": "c"}}, "has no column 'c'; it has user, item"),
        (ROW, {"columns": {"user": "item", "item": "item"}}, "used as user and item; use it"),
        ("user,b\n1,2\n", {"columns": {"item": "b"}, "context": ["b"]}, "used as item and b; use it"),
        (ROW, {"context": ["c"]}, "no context column 'c'; it has user, item"),
        (ROW, {"format": "json"}, "received 'json'; did you mean 'jsonl'?"),
        ("", {}, "is empty"),
        ("\n\n", {}, "is empty"),
        ("user,item\n", {}, "has no rows"),
        ("user,item\n,2\n,3\n", {"max_bad_share": 1}, "none of the 2 rows"),
        ("user\titem\n1\t2\n", {}, "set delimiter='\\t', --delimiter"),
        ("user::item\n1::2\n", {}, "set delimiter='::', --delimiter"),
        ("1,2,3\n4,5,6\n", {}, "is its first line a row?"),
        ("user,user,item\n1,2,3\n", {}, "more than once"),
        (ROW + "1,2,3\n", {}, "1 with wrong number of fields (line 3"),
        (ROW + "1,é\n", {}, "encoding='latin-1'"),
        ("usér,item\n1,2\n", {}, "encoding='latin-1'"),
        (ROW.encode("utf-16"), {}, "encoding='utf-16'"),
        (ROW, {"encoding": "utf-16"}, "another encoding="),
        ("user,item,rating\n1,2,\"1,5\"\n", {}, "decimal=','"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_named(tmp_path, text, arguments, said):
    data = text.encode("latin-1") if isinstance(text, str) else text
    assert said in refused(file(tmp_path, data), **arguments)


def test_what_cannot_be_read_is_named(tmp_path):
    assert "has no known layout" in refused(tmp_path) and "is a folder" in refused(tmp_path, format="csv")
    assert f"did you mean {file(tmp_path, ROW)}?" in refused(tmp_path / "event.csv")
    assert "no file" in refused(tmp_path / "nowhere" / "events.csv")
    assert "names no format" in refused(file(tmp_path, ROW, "a.txt"))
    assert "has no rows" in refused(pd.DataFrame({"user": [], "item": []}))
    assert "received int" in refused(5)
