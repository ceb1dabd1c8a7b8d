"""Each format and kind of value, and each reason for which a row is rejected."""

import datetime
import json
import logging
import random

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.sources.tables import file, read, refused
from torchrec_ext.data import read_events

USERS = {"user": "user", "item": "item"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "mixed"])
def test_lines_count_the_header_blank_and_broken_lines_and_quoted_ends_of_lines_once(tmp_path, end):
    text = 'user,item~1,a~~2,"b|b"~3~4,d,e~~5,\udcff~,f~6,"g""h"~7,"x"y~8,~"",i~9,NA'
    rows = text.split("~")
    ends = {"mixed": random.Random(0).choices(["\n", "\r\n"], k=len(rows))}.get(end, [end] * len(rows))
    text = "".join(row.replace("|", "\n") + e for row, e in zip(rows, ends, strict=True))
    values, bad = read(file(tmp_path, text.encode("utf-8", "surrogateescape")), USERS)
    assert values == {"user": [1, 2, 6, 9], "item": ["a", "b\nb", 'g"h', "NA"]}
    assert [row[:3] for row in bad] == [
        (5, "", "wrong number of fields"), (6, "", "wrong number of fields"), (8, "", "broken encoding"),
        (9, "user", "missing id"), (11, "", "quote never closed"), (12, "item", "missing id"),
        (13, "user", "missing id"),
    ]  # fmt: skip
    assert bad[1][3] == "4,d,e" and bad[3][3] is None


def test_lines_of_rows_are_exact_amid_quotes_and_blank_lines(tmp_path):
    rng = random.Random(1)
    lines, expected = ["user,item,n"], []
    for n in range(2, 3000):
        kind = rng.random()
        lines.append("" if kind < 0.1 else f'{n},"a\n\n,b",1' if kind < 0.3 else f'{n},a"b,1')
        if 0.5 < kind < 0.6:
            lines[-1] = f"{n},c,x"
            expected.append(n)
    path = file(tmp_path, "\n".join(lines) + "\n", "events.csv.gz")
    _, bad = read(path, {**USERS, "n": {"kind": "number"}})
    assert [line for line, _, reason, _ in bad if reason == "unparsable number"] == expected


def test_a_quote_that_swallows_lines_is_refused_and_quote_none_reads_them(tmp_path):
    path = file(tmp_path, 'user,item\n1,a\n2,"b\n3,c\n4,d')
    message = refused(path, max_bad_share=1)
    assert f"line 3 of {path} opens a quote that it does not close: '2,\"b" in message
    assert "quote=None" in message
    assert read(path, USERS, quote=None)[0]["item"] == ["a", '"b', "c", "d"]
    assert "quote=None" in refused(file(tmp_path, '"user\n1\n', "open.csv"))


def test_layouts_of_text(tmp_path):
    expected = {"user": [1, 2], "item": ["é", "b"], "n": [1.5, None]}
    plain = ["user ; item;n", "1;'é';1,5", "2;b;"]
    for encoding in ("utf-8", "utf-8-sig", "latin-1", "utf-16"):
        path = file(tmp_path, "\n".join(plain).encode(encoding), "events.txt")
        values, _ = read(
            path, {**USERS, "n": {"kind": "number"}}, delimiter=";", decimal=",", quote="'",
            encoding=encoding.removesuffix("-sig"),
        )  # fmt: skip
        assert np.isnan(values["n"].pop()) and {**values, "n": [1.5, None]} == expected
    path = file(tmp_path, "1::a:b::3\n007::c::4\n", "r.dat")
    names = {"delimiter": "::", "format": "csv", "header": ["user", "item", "rating"]}
    assert read_events(path, **names).frame.values.tolist() == [["1", "a:b", 3], ["007", "c", 4]]
    bare = read_events(file(tmp_path, "5,6\n7,8\n"), header=["user", "item"])
    assert bare.frame["user"].tolist() == [5, 7]
    assert "gives 1 names" in refused(path, delimiter="::", format="csv", header=["user"])


def test_numbers_of_text(tmp_path):
    words = [
        "1e3", "1_000", " 5 ", "-7.5", "+2", "inf", "-Infinity", "nan", "", '"1,5"', "0x10", ".5", "1e999",
    ]  # fmt: skip
    path = file(tmp_path, "n,k\n" + "".join(f"{w},1\n" for w in words), "n.csv")
    values, bad = read(path, {"n": {"kind": "number"}})
    np.testing.assert_array_equal(values["n"], [1000.0, 5.0, -7.5, 2.0, np.nan, np.nan, 0.5])
    assert [(line, reason) for line, _, reason, _ in bad] == [
        (3, "unparsable number"), (7, "infinite number"), (8, "infinite number"),
        (11, "unparsable number"), (12, "unparsable number"), (14, "infinite number"),
    ]  # fmt: skip
    _, bad = read(path, {"n": {"kind": "number", "needed": True}})
    assert [line for line, _, reason, _ in bad if reason == "missing number"] == [9, 10]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0|1|2.5", [0, 1, 2.5]), ("1577836800", [0]), ("1577836800500", [0.5]),
        ("1577836800000001", [0.000001]), ("1577836800000000000", [0]),
        ("1577836800|2020-01-01|2020-01-01T01:00:01", [0, 0, 3601]),
        ("2020-01-01T02:00:00+02:00|2020-01-01 00:00:00.25", [0, 0.25]),
        ("2020-01-01T00:00| 2020-01-01T00:00:00.5 |2020-01-01T00", [0, 0.5, 0]),
        ("2020-01-01T00:00:00-0030|2020-01-01T00:00:00.5+01", [1800, -3599.5]),
        ("2020-01-01T00:00:00Z|2020-01-01T00:00+00:30", [0, -1800]),
    ],
)  # fmt: skip
def test_times_are_unix_seconds(tmp_path, written, seconds):
    spec, words = {"t": {"kind": "time"}}, written.split("|")
    expected = [second + (1577836800 if len(words[0]) > 3 else 0) for second in seconds]
    assert read(file(tmp_path, "t,k\n" + "".join(f"{w},1\n" for w in words)), spec)[0]["t"] == expected
    assert read(pd.DataFrame({"t": words}), spec)[0]["t"] == expected


def test_bad_times_are_told_apart(tmp_path):
    written = {
        "noon": "unparsable time", "now": "unparsable time", "inf": "infinite number",
        "1850-01-01": "time out of range", "0001-01-01": "time out of range", "epoch": "unparsable time",
        "9999-12-31T00:00:00Z": "time out of range",
        "2020-13-01": "unparsable time", "1e11": "time out of range",
    }  # fmt: skip
    path = file(tmp_path, "t,k\n5,1\n" + "".join(f"{w},1\n" for w in written))
    assert {value: reason for _, _, reason, value in read(path, {"t": {"kind": "time"}})[1]} == written


def test_a_sample_decides_the_unit_and_it_is_told(caplog):
    caplog.set_level(logging.INFO)
    frame = pd.DataFrame({"t": [1_600_000_000_000, 1_600_000_001_000, 1_600_000_002]})
    assert read(frame, {"t": {"kind": "time"}})[0]["t"] == [1.6e9, 1600000001.0, 1600000.002]
    assert "column 't' of the DataFrame: took times around 1.6e+12 as ms" in caplog.text
    values, bad = read(frame, {"t": {"kind": "time", "unit": "s"}})
    assert values["t"] == [1600000002] and [b[2] for b in bad] == ["time out of range"] * 2


def test_typed_times_mean_what_they_say():
    moment = datetime.datetime(2020, 1, 1)
    there = datetime.timezone(datetime.timedelta(hours=2))
    for values in (
        pd.Series([moment, moment], dtype="datetime64[ns]"),
        pd.Series([moment.replace(hour=2, tzinfo=there)] * 2),
        pd.Series([moment.date()] * 2),
        pd.Series([moment] * 2, dtype=object),
        pd.Series(pd.period_range("2020-01", periods=1, freq="M").repeat(2)),
        pa.array([moment] * 2, pa.timestamp("s")),
        pa.array([moment.date()] * 2, pa.date64()),
    ):
        table = pa.table({"t": values}) if isinstance(values, pa.Array) else pd.DataFrame({"t": values})
        assert read(table, {"t": {"kind": "time"}})[0]["t"] == [1577836800] * 2
    with pytest.raises(ValueError, match="values of type BOOLEAN; expected seconds or dates"):
        read(pd.DataFrame({"t": [True]}), {"t": {"kind": "time"}})


def test_lists(tmp_path):
    tags, vector = {"kind": "categories"}, {"kind": "vector", "separator": " ", "width": 2}
    specs = {"tags": tags, "v": vector}
    path = file(tmp_path, "tags,v\na|b,1 2\n,\n|c|,1e300 0\na,1\nb,1 x\nc,1  2\nd,inf 1\n")
    values, bad = read(path, specs)
    assert values == {"tags": [["a", "b"], []], "v": [[1.0, 2.0], None]}
    assert [(line, reason) for line, _, reason, _ in bad] == [
        (4, "infinite number"), (5, "wrong list length"), (6, "unparsable number"),
        (7, "wrong list length"), (8, "infinite number"),
    ]  # fmt: skip
    assert bad[0] == (4, "v", "infinite number", "1e300 0")
    table = pa.table({"tags": [["x", None, "y"], [], None], "v": [[1, 2], [3, 4], None]})
    for source in (table, table.to_pandas(), pl.from_arrow(table)):
        values, bad = read(source, specs)
        assert values == {"tags": [["x", "y"], [], []], "v": [[1.0, 2.0], [3.0, 4.0], None]} and not bad
    odd = pd.DataFrame({"v": [[1.0, None], [1.0], [np.inf, 1.0], [1, 2]], "tags": [1, 2, 3, 4]})
    values, bad = read(odd, specs)
    assert values == {"v": [[1.0, 2.0]], "tags": [[4]]}
    assert [b[2] for b in bad] == ["missing number", "wrong list length", "infinite number"]


def test_types_of_events(tmp_path):
    spec = {"type": {"column": "t", "needed": True, "values": {"1": "view", "2": "buy"}}}
    values, bad = read(file(tmp_path, "t,k\n1,1\n2,1\n3,1\n,1\n"), spec)
    assert values["type"] == ["view", "buy"]
    assert bad == [(4, "t", "unknown event type", "3"), (5, "t", "missing value", None)]
    values, bad = read(pd.DataFrame({"t": [1.0, 2.0, None, 9.0]}), spec)
    assert values["type"] == ["view", "buy"]
    assert [b[2] for b in bad] == ["missing value", "unknown event type"]


def test_json_lines(tmp_path):
    lines = [
        '{"user": 7, "item": "a", "tags": ["x", "y"], "price": 2, "t": "2020-01-01"}', "",
        '{"user": 8, "item"', "[1, 2]",
        '{"user": 1152921504606846977, "item": "b", "price": "3.5"}', '{"item": "c"}',
        '{"user": {"id": 1}, "item": "d"}', json.dumps({"user": 9, "item": "\ud800"}),
        '{"user": 9, "item": "e", "price": "dear"}', '{"user": 9, "item": "f", "price": Infinity}',
        '{"user": 9, "item": "g", "tags": {"x": 1}}', '{"user": 18446744073709551616, "item": "h"}',
        '{"user": 1, "item": "i", "price": true, "tags": [1, "z", null], "t": null}',
    ]  # fmt: skip
    data = "\r\n".join(lines).encode() + b'\n  \n{"user": 1, "item": "\xff"}\n{"user": "k"'
    specs = {**USERS, "price": {"kind": "number"}, "tags": {"kind": "categories"}, "t": {"kind": "time"}}
    for name in ("events.jsonl", "events.ndjson.gz"):
        values, bad = read(file(tmp_path, data, name), specs)
        assert values["user"] == [7, 2**60 + 1, 1] and values["item"] == ["a", "b", "i"]
        assert values["price"] == [2, 3.5, 1] and values["tags"] == [["x", "y"], [], ["1", "z"]]
        assert values["t"][0] == 1577836800
        assert [(line, reason) for line, _, reason, _ in bad] == [
            (3, "not valid JSON"), (4, "not a JSON object"), (6, "missing id"), (7, "not an id"),
            (8, "not valid JSON"), (9, "unparsable number"), (10, "infinite number"),
            (11, "not a single value"),
            (12, "not an id"), (15, "broken encoding"), (16, "not valid JSON"),
        ]  # fmt: skip
    mixed = file(tmp_path, '{"user": 1, "item": 1}\n{"user": "1", "item": 1}\n', "mixed.jsonl")
    assert "holds integers (1) and strings ('1'); make both the same type" in refused(mixed)
    assert "holds no JSON object" in refused(file(tmp_path, "user,item\n", "no.jsonl"))


def test_parquet_a_file_or_a_folder_of_them(tmp_path):
    table = pa.table({
        "user": pa.array([2**60 + 1, None, 3]), "item": pa.array(["a", "b", "007"]).dictionary_encode(),
        "price": pa.array([1.5, 2.0, float("nan")], pa.float32()),
    })  # fmt: skip
    parts = tmp_path / "parts"
    (parts / "day=2").mkdir(parents=True)
    pq.write_table(table, parts / "day=2" / "0.parquet")
    (parts / "day=1").mkdir()
    pq.write_table(table.slice(2), parts / "day=1" / "1.parquet")
    (parts / "_SUCCESS").write_bytes(b"")
    values, bad = read(parts, {**USERS, "price": {"kind": "number"}, "day": {"kind": "category"}})
    assert values["user"] == [3, 2**60 + 1, 3] and values["item"] == ["007", "a", "007"]
    assert np.isnan(values["price"][0]) and values["price"][1] == 1.5 and values["day"] == [1, 2, 2]
    assert bad == [(2, "user", "missing id", None)]
    pq.write_table(table.drop_columns(["item"]), parts / "day=2" / "2.parquet")
    assert "2.parquet has no column 'item'" in refused(parts)


def test_dataframes_keep_every_digit_and_are_not_touched():
    frame = pd.DataFrame({
        "user": pd.array([2**60 + 1, None, 5], dtype="Int64"), "item": pd.Categorical(["x", "y", "007"]),
        "price": ["5", 4, None], "kind": [1.0, None, 2.5], 3: [b"x", b"y", "z"],
    }, index=[7, 7, 7])  # fmt: skip
    before = frame.copy()
    specs = {**USERS, "price": {"kind": "number"}, "kind": {"kind": "category"}, "third": "3"}
    values, bad = read(frame, specs)
    pd.testing.assert_frame_equal(frame, before)
    assert values["user"] == [2**60 + 1, 5] and bad == [(2, "user", "missing id", None)]
    assert values["item"] == ["x", "007"] and values["kind"] == ["1", "2.5"] and values["price"][0] == 5
    assert values["third"][1] == "z"


def test_arrow_tables_of_many_types():
    table = pa.table({
        "user": pa.array([b"u", b"\xff", b"v"]), "item": pa.array([1, 2, 3], pa.uint8()),
        "flag": [True, None, False], "n": pa.array([1, 2, 3], pa.decimal128(10, 2)),
        "small": pa.array(np.array([0.7, 1, 2], np.float32)),
        "half": pa.array(np.array([0.7, 1, 2], np.float16)),
    })  # fmt: skip
    specs = {
        **USERS, "flag": {"kind": "category"}, "label": {"column": "small", "kind": "number"}, "half": "half",
        "n": {"kind": "number"},
    }  # fmt: skip
    relation = duckdb.from_arrow(table.drop_columns(["half"]))
    for source in (table, table.to_reader(), pl.from_arrow(table.drop_columns(["half"])), relation):
        arrow = isinstance(source, pa.Table | pa.RecordBatchReader)
        values, bad = read(source, {k: spec for k, spec in specs.items() if k != "half" or arrow})
        assert values["user"] == ["u", "v"] and values["item"] == [1, 3]
        assert values["flag"] == ["true", "false"]
        assert values["label"] == [0.7, 2] and values["n"] == [1, 3]
        assert [b[:3] for b in bad] == [(2, "user", "broken encoding")]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", "", "2.5"], [1, np.nan, 2.5]), (["1e3", "5"], [1000, 5]),
        (["-0.5", "0", "0.25"], [-0.5, 0, 0.25]),
        (["1", "2"], None), (["02139", "10001"], None), (["007", "1.5"], None), (["1.5", "inf"], None),
        (["1.5", "x"], None), (["0x1F", "1.5"], None), (["1_0", "1.5"], None), (["nan", "1.5"], None),
    ],
)  # fmt: skip
def test_undeclared_text_is_numbers_if_text_files_write_numbers_with_a_point(tmp_path, words, expected):
    frame = pd.DataFrame({"x": words, "k": 1})
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = read(tmp_path / "x.csv", {"x": "x"})[0]["x"]
    if expected is None:
        assert [str(v) for v in found] == words
    else:
        np.testing.assert_array_equal(found, expected)
    assert read(frame, {"x": "x"})[0]["x"] == words


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([3, None, 3]), {}, [3, None, 3]), (pa.array([True, False]), {}, ["true", "false"]),
        (pa.array([[1, None], None]), {}, [[1], []]), (pa.nulls(2), {}, [None, None]),
        (pa.array([[1.0, 2.0], None, []]), {}, [[1, 2], None, None]),
        (pa.array([[], None], pa.list_(pa.float64())), {}, [None, None]),
        (pa.array([["a"], ["b", "c"], None, ["d"]]).slice(1, 3), {}, [["b", "c"], [], ["d"]]),
        ([[1.0], [1.0, 2.0]], {}, "holds lists of 1 and of 2 numbers; declare the width"),
        ([{"a": 1}], {}, "of which no category can be made"),
        ([[[1]]], {}, "of which no category can be made"),
        ([[1]], {"kind": "number"}, "expected numbers"),
        ([1], {"kind": "vector", "width": 2}, "lists of 2 numbers"),
        ([[1]], {"kind": "category"}, "is it of kind 'categories'?"),
    ],
)  # fmt: skip
def test_values_are_what_their_type_says_or_refused_where_they_do_not_fit(values, kind, expected):
    table, spec = pa.table({"x": values}), {"x": {"column": "x", **kind}}
    if isinstance(expected, list):
        assert read(table, spec)[0]["x"] == expected
        return
    with pytest.raises(ValueError, match="^column 'x' of the Arrow table") as caught:
        read(table, spec)
    assert expected in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1, 2.5, np.nan]), ([1, "a", True], ["1", "a", "true"]),
        ([["a"], None, [1]], [["a"], [], ["1"]]), ([[1, 2.5], [0.5, 1]], [[1, 2.5], [0.5, 1]]),
        ([{"b": 1}, 2], ["2"]), ([None], [None]), ([["a", [1]]], "complete"),
        ([{"b": 1}], "of which no category can be made"),
    ],
)  # fmt: skip
def test_undeclared_json_is_what_all_values_share(tmp_path, values, expected):
    path = file(tmp_path, "".join(json.dumps({"x": v, "k": 1}) + "\n" for v in values), "x.jsonl")
    if isinstance(expected, str):
        with pytest.raises(ValueError, match=expected):
            read(path, {"x": "x"})
    else:
        np.testing.assert_equal(read(path, {"x": "x"})[0]["x"], expected)


def test_rejects_beyond_the_limit_are_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("torchrec_ext.data.sources.rejects.MOST_ROWS", 3)
    path = file(tmp_path, "user,item,rating\n" + "1,2,x\n" * 5 + ",2,1\n1,2\n1,2,3\n")
    bad = tmp_path / "bad.parquet"
    events = read_events(path, max_bad_share=1, rejected=bad)
    assert len(events) == 1 and events.source.steps[0].removed == 7 and len(pd.read_parquet(bad)) == 3
    assert "holds the first 3 of 7 rejected rows" in caplog.text
    message = refused(path)
    assert "7 of 8 rows" in message and "5 with unparsable number (line 2" in message
    assert "1 with missing id (line 7" in message
