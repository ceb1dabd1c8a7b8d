"""Reading tables: ids as given, columns found, one-line errors."""

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

WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
IDS = st.one_of(
    st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=6),
    st.lists(WORDS.filter(lambda word: not word.lstrip("-").isdigit()), min_size=1, max_size=6),
)


@settings(max_examples=60, deadline=None)
@given(users=IDS, items=IDS)
def test_ids_come_back_as_given_from_memory_and_files(tmp_path_factory, users, items):
    n = min(len(users), len(items))
    frame = pd.DataFrame({"user": users[:n], "item": items[:n]})
    folder = tmp_path_factory.mktemp("ids")
    frame.to_parquet(folder / "events.parquet")
    quoted = ["user,item"] + [
        '"{}","{}"'.format(*(str(v).replace('"', '""') for v in row)) for row in frame.values
    ]
    file(folder, "\n".join(quoted) + "\n")
    for source in (frame, folder / "events.parquet", folder / "events.csv"):
        read = read_events(source).frame
        assert read["user"].tolist() == users[:n]
        assert read["item"].tolist() == items[:n]


def test_rows_without_an_id_or_rating_are_left_out_counted_and_recorded(tmp_path, caplog):
    path = file(tmp_path, "user,item,rating\n1,7,5\n,a,5\n2,,5\n2,b,\n3,8,1\n")
    events = read_events(path, max_bad_share=0.6, rejected=tmp_path / "rejected.parquet")
    assert events.frame["user"].tolist() == [1, 3] and events.frame.index.tolist() == [0, 1]
    assert events.frame["item"].tolist() == [7, 8]  # what is left out decides nothing
    assert "set aside 3 rows of 5 (2 missing id, 1 missing number)" in caplog.text
    rejected = pd.read_parquet(tmp_path / "rejected.parquet")
    assert rejected[["line", "column"]].values.tolist() == [[3, "user"], [4, "item"], [5, "rating"]]
    (step,) = events.source.steps
    assert (step.removed, step.left, step.users, step.items) == (3, 2, 2, 2)
    assert events.source.rows == 5


def test_common_names_are_found_and_said_and_rows_keep_their_order(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    text = "ts,movieId,User_ID,stars,price\n20,007,9,4,1\n10,x,1,2.5,2\n".replace(",", "\t")
    frame = read_events(file(tmp_path, text, "events.tsv.gz")).frame
    assert frame.to_dict("list") == {
        "user": [9, 1], "item": ["007", "x"], "timestamp": [20, 10], "rating": [4.0, 2.5],
    }  # fmt: skip
    assert frame["user"].dtype == np.int64 and frame["timestamp"].dtype == np.int64
    assert "took User_ID as user, movieId as item, ts as timestamp, stars as rating" in caplog.text


def test_places_in_a_history_are_no_time():
    def order(users, times):
        return read_events(pd.DataFrame({"user": users, "item": 1, "timestamp": times})).source

    assert order(["a", "b", "a", "a", "b"], [2, 0, 1, 0, 1]).order == "order"
    assert order(["a", "b", "a"], [1, 1, 2]).order == "order"  # counted from 1
    assert "not a time" in order(["a", "b", "a"], [1, 1, 2]).ordering
    assert order(["a", "b", "a", "a", "b"], [2, 0, 1, 0, 3]).order == "time"  # b has no place 3
    assert order(["a", "b"], [0.5, 1]).order == "time"
    assert order(["a", "a"], [-1, 0]).order == "time"
    assert order(["a"] * 6, [0, 0, 0, 1, 1, 1]).order == "time"  # days rather than places


def test_ties_count_all_events_that_share_user_and_timestamp():
    frame = pd.DataFrame({"user": ["a", "a", "a", "b", "a"], "item": 1, "timestamp": [9, 9, 9, 9, 8.5]})
    source = read_events(frame).source
    assert source.ties == 3
    assert "3 share user and timestamp with another, the order of the rows decides" in source.ordering


def test_the_source_has_the_checksums_of_the_files_as_they_lie_there(tmp_path):
    path = file(tmp_path, "user,item\n1,2\n", "events.csv.gz")
    side = file(tmp_path, "user,age\n1,30\n", "people.csv")
    source = read_events(path, users=side).source
    assert source.files == {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in (path, side)}
    assert source.sha256 == source.files["events.csv.gz"]


def test_the_checksum_of_a_dataframe_follows_its_content():
    frame = pd.DataFrame({"user": ["a", "b"], "item": [1, 2]})
    first, same, other = (read_events(f).source.sha256 for f in (frame, frame.copy(), frame.assign(item=1)))
    assert first == same != other


def test_side_features_all_but_the_title_unless_chosen(tmp_path):
    items = file(tmp_path, "sku,name,brand,price\n2,Two,b,5\n3,Three,c,\n", "items.csv")
    users = pd.DataFrame({"user": ["u"], "age": [30]})
    events_frame = pd.DataFrame({"user": ["u"], "sku": [2]})
    arguments = {"columns": {"item": "sku", "title": "name"}, "items": items, "users": users}
    events = read_events(events_frame, **arguments)
    assert events.items.columns.tolist() == ["item", "title", "brand", "price"]
    assert events.items["item"].tolist() == [2, 3] and events.items["title"].tolist() == ["Two", "Three"]
    assert events.item_features == ("brand", "price") and events.user_features == ("age",)
    events = read_events(events_frame, **arguments, item_features=["price"], user_features=[])
    assert events.item_features == ("price",) and events.user_features == ()


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


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("", "1 with missing time (line 3, column 'when': no value)"),
        ("inf", "1 with infinite number (line 3, column 'when': 'inf')"),
        ("noon", "1 with unparsable time (line 3, column 'when': 'noon')"),
    ],
)
def test_above_the_share_bad_rows_are_an_error_that_shows_them(tmp_path, value, said):
    path, columns = file(tmp_path, f"user,item,when\n1,2,5\n1,2,{value}\n"), {"timestamp": "when"}
    message = refused(path, columns=columns, max_bad_share=0.49)
    assert said in message and "1 of 2 rows" in message and "more than 49.00%" in message
    assert len(read_events(path, columns=columns, max_bad_share=0.5)) == 1


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([1.0, np.nan], "are floats (such as 1.0)"),
        (["a", 2], "holds integers (2) and strings ('a')"),
        ([True, False], "are booleans"),
        ([b"a", b"b"], "are bytes"),
        ([1, 2**63], "is beyond 64 bits"),
    ],
)
def test_ids_of_other_kinds_are_refused(users, said):
    message = refused(pd.DataFrame({"user": users, "item": [1, 2]}))
    assert said in message and "column 'user' of the DataFrame" in message


@pytest.mark.parametrize(
    ("name", "text", "arguments", "said"),
    [
        ("a.csv", "a,b\n1,2\n", {}, "has no column for user and item; it has a, b: say --columns user=NAME"),
        ("a.csv", "a,b\n1,2\n", {"columns": {"user": "c"}}, "has no column 'c'; it has a, b"),
        ("a.csv", "a,b\n1,2\n", {"columns": {"user": "a", "item": "a"}}, "used as user and item; use it"),
        ("a.csv", "user,b\n1,2\n", {"columns": {"item": "b"}, "context": ["b"]}, "used as item and b; use"),
        ("a.csv", "user,item\n1,2\n", {"context": ["c"]}, "no context column 'c'; it has user, item"),
        ("a.csv", "user,item\n1,2\n", {"format": "json"}, "received 'json'; did you mean 'jsonl'?"),
        ("a.csv", "", {}, "is empty"),
        ("a.csv", "user,item\n", {}, "has no rows"),
        ("a.csv", "user,item\n,2\n,3\n", {"max_bad_share": 1}, "none of the 2 rows"),
        ("a.csv", "user\titem\n1\t2\n", {}, "set delimiter='\\t', --delimiter"),
        ("a.csv", "user;item\n1;2\n", {}, "set delimiter=';', --delimiter"),
        ("a.csv", "user::item\n1::2\n", {}, "set delimiter='::', --delimiter"),
        ("a.csv", "1,2,3\n4,5,6\n", {}, "is its first line a row?"),
        ("a.csv", "user,user,item\n1,2,3\n", {}, "more than once"),
        ("a.csv", "user,item\n1,2\n1,2,3\n", {}, "1 with wrong number of fields (line 3"),
        ("a.csv", "user,item,rating\n1,2,3\n1,2,x\n", {}, "unparsable number (line 3, column 'rating': 'x')"),
        ("a.txt", "user,item\n1,2\n", {}, "names no format"),
        ("a.csv", "user,item\n1,é\n".encode("latin-1"), {}, "encoding='latin-1'"),
        ("a.csv", "usér,item\n1,2\n".encode("latin-1"), {}, "encoding='latin-1'"),
        ("a.csv", "user,item\n1,2\n".encode("utf-16"), {}, "encoding='utf-16'"),
        ("a.csv", "user,item\n1,2\n", {"encoding": "utf-16"}, "another encoding="),
        ("a.csv", "user,item,rating\n1,2,\"1,5\"\n", {}, "decimal=','"),
        ("a.csv", "\n\n", {}, "is empty"),
    ],
)  # fmt: skip
def test_text_that_cannot_be_read_is_named(tmp_path, name, text, arguments, said):
    assert said in refused(file(tmp_path, text, name), **arguments)


def test_what_cannot_be_read_is_named(tmp_path):
    assert "has no known layout" in refused(tmp_path) and "is a folder" in refused(tmp_path, format="csv")
    path = file(tmp_path, "user,item\n1,2\n")
    assert f"did you mean {path}?" in refused(tmp_path / "event.csv")
    assert "no file" in refused(tmp_path / "nowhere" / "events.csv")
    assert "has no rows" in refused(pd.DataFrame({"user": [], "item": []}))
    assert "received int" in refused(5)
