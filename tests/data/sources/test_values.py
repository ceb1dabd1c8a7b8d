"""Each format and kind of value, and each reason for which a row is rejected."""

import datetime
import logging
import random
import re

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.sources.tables import file, read, refused, write
from torchrec_ext.data import read_events
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.errors import InputError

USERS = {"user": "user", "item": "item"}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0|1|2.5", [0, 1, 2.5]),
        ("1577836800", [1577836800]),
        ("1577836800500", [1577836800.5]),
        ("1577836800000001", [1577836800.000001]),
        ("1577836800000000000|2020-01-01", [1577836800] * 2),
        ("2020-01-01T01:00:01|2020-01-01T00", [1577840401, 1577836800]),
        ("2020-01-01T02:00:00+02:00|2020-01-01 00:00:00.25", [1577836800, 1577836800.25]),
        ("2020-01-01T00:00| 2020-01-01T00:00:00.5 ", [1577836800, 1577836800.5]),
        ("2020-01-01T00:00:00-0030|2020-01-01T00:00:00.5+01", [1577838600, 1577833200.5]),
        ("2020-01-01T00:00:00Z|2020-01-01T00:00+00:30", [1577836800, 1577835000]),
    ],
)
def test_times_are_unix_seconds(tmp_path, written, seconds):
    frame = pd.DataFrame({"t": written.split("|"), "k": 1})
    frame.to_csv(tmp_path / "t.csv", index=False)
    for source in (frame, tmp_path / "t.csv"):
        assert read(source, {"t": {"kind": "time"}})[0]["t"] == seconds


def test_a_sample_decides_the_unit_and_it_is_told(caplog):
    caplog.set_level(logging.INFO)
    frame = pd.DataFrame({"t": [1_600_000_000_000, 1_600_000_001_000, 1_600_000_002]})
    assert read(frame, {"t": {"kind": "time"}})[0]["t"] == [1.6e9, 1600000001.0, 1600000.002]
    assert "column 't' of the DataFrame: took times around 1.6e+12 as ms" in caplog.text
    values, bad = read(frame, {"t": {"kind": "time", "unit": "s"}})
    assert values["t"] == [1600000002] and [b[2] for b in bad] == ["time out of range"] * 2


def test_lists(tmp_path):
    specs = {"tags": {"kind": "categories"}, "v": {"kind": "vector", "separator": " ", "width": 2}}
    path = file(tmp_path, "tags,v\na|b,1 2\n,\n|c|,1e300 0\na,1\nb,1 x\nc,1  2\nd,inf 1\n")
    values, bad = read(path, specs)
    assert values == {"tags": [["a", "b"], []], "v": [[1.0, 2.0], None]}
    assert bad == [
        (4, "v", "infinite number", "1e300 0"), (5, "v", "wrong list length", "1"),
        (6, "v", "unparsable number", "1 x"), (7, "v", "wrong list length", "1  2"),
        (8, "v", "infinite number", "inf 1"),
    ]  # fmt: skip
    table = pa.table({"tags": [["x", None, "y"], [], None], "v": [[1, 2], [3, 4], None]})
    for source in (table, table.to_pandas(), pl.from_arrow(table)):
        assert read(source, specs) == ({"tags": [["x", "y"], [], []], "v": [[1, 2], [3, 4], None]}, [])
    odd = pd.DataFrame({"v": [[1.0, None], [1.0], [np.inf, 1.0], [1, 2]], "tags": [1, 2, 3, 4]})
    values, bad = read(odd, specs)
    assert values == {"v": [[1.0, 2.0]], "tags": [[4]]}
    assert [b[2] for b in bad] == ["missing number", "wrong list length", "infinite number"]


def test_types_of_events(tmp_path):
    spec = {"type": {"column": "t", "needed": True, "values": {"1": "view", "2": "buy"}}}
    for source in (file(tmp_path, "t,k\n1,1\n2,1\n3,1\n,1\n"), pd.DataFrame({"t": [1.0, 2.0, 3.0, None]})):
        values, bad = read(source, spec)
        assert values["type"] == ["view", "buy"]
        assert [row[1:3] for row in bad] == [("t", "unknown event type"), ("t", "missing value")]


def test_json_lines(tmp_path):
    lines = {
        '{"user": 7, "item": "a", "tags": ["x", "y"], "price": 2, "t": "2020-01-01"}': "", "": "",
        '{"user": 8, "item"': "not valid JSON", "[1, 2]": "not a JSON object",
        '{"user": 1152921504606846977, "item": "b", "price": "3.5"}': "", '{"item": "c"}': "missing id",
        '{"user": {"id": 1}, "item": "d"}': "not an id", '{"user": 9, "item": "\\ud800"}': "not valid JSON",
        '{"user": 9, "item": "e", "price": "dear"}': "unparsable number",
        '{"user": 9, "item": "f", "price": Infinity}': "infinite number",
        '{"user": 9, "item": "g", "tags": {"x": 1}}': "not a single value",
        '{"user": 18446744073709551616, "item": "h"}': "not an id",
        '{"user": 1, "item": "i", "price": true, "tags": [1, "z", null], "t": null}': "", "  ": "",
        '{"user": 1, "item": "\udcff"}': "broken encoding", '{"user": "k"': "not valid JSON",
    }  # fmt: skip
    data = "\r\n".join(lines).encode("utf-8", "surrogateescape")
    specs = {**USERS, "price": {"kind": "number"}, "tags": {"kind": "categories"}, "t": {"kind": "time"}}
    for name in ("events.jsonl", "events.ndjson.gz"):
        values, bad = read(file(tmp_path, data, name), specs)
        assert values["user"] == [7, 2**60 + 1, 1] and values["item"] == ["a", "b", "i"]
        assert values["price"] == [2, 3.5, 1] and values["tags"] == [["x", "y"], [], ["1", "z"]]
        assert values["t"][0] == 1577836800
        reasons = [(line, reason) for line, reason in enumerate(lines.values(), 1) if reason]
        assert [(line, reason) for line, _, reason, _ in bad] == reasons
    mixed = file(tmp_path, '{"user": 1, "item": 1}\n{"user": "1", "item": 1}\n', "mixed.jsonl")
    assert "holds integers (1) and strings ('1'); make both the same type" in refused(mixed)
    assert "holds no JSON object" in refused(file(tmp_path, "user,item\n", "no.jsonl"))


def test_parquet_files_of_a_folder(tmp_path):
    table = pa.table({
        "user": pa.array([2**60 + 1, None, 3]), "item": pa.array(["a", "b", "007"]).dictionary_encode(),
        "price": pa.array([1.5, 2.0, 0.1], pa.float32()),
    })  # fmt: skip
    for part, day in ((table, 2), (table.slice(2), 1)):
        (tmp_path / f"day={day}").mkdir()
        pq.write_table(part, tmp_path / f"day={day}" / "0.parquet")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    values, bad = read(tmp_path, {**USERS, "price": {"kind": "number"}, "day": {"kind": "category"}})
    assert values == {
        "user": [3, 2**60 + 1, 3], "item": ["007", "a", "007"], "price": [0.1, 1.5, 0.1], "day": [1, 2, 2],
    }  # fmt: skip
    assert bad == [(2, "user", "missing id", None)]
    pq.write_table(table.drop_columns(["item"]), tmp_path / "day=2" / "2.parquet")
    assert "2.parquet has no column 'item'" in refused(tmp_path)


def test_arrow_tables_of_many_types():
    table = pa.table({
        "user": pa.array([b"u", b"\xff", b"v"]), "item": pa.array([1, 2, 3], pa.uint8()),
        "flag": [True, None, False], "n": pa.array([1, 2, 3], pa.decimal128(10, 2)),
        "small": pa.array(np.array([0.7, 1, 2], np.float32)),
        "half": pa.array(np.array([0.7, 1, 2], np.float16)),
    })  # fmt: skip
    specs = {**USERS, "flag": {"kind": "category"}, "small": "small", "n": {"kind": "number"}, "half": "half"}
    expected = {"user": ["u", "v"], "item": [1, 3], "flag": ["true", "false"], "small": [0.7, 2], "n": [1, 3]}
    for source in (table, table.to_reader()):
        values, bad = read(source, specs)
        assert values == {**expected, "half": [0.7, 2]} and bad[0][:3] == (2, "user", "broken encoding")
    del specs["half"]  # which these do not have
    table = table.drop_columns(["half"])
    for source in (pl.from_arrow(table), duckdb.from_arrow(table)):
        assert read(source, specs)[0] == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["1", "", "2.5"], [1, np.nan, 2.5]), (["1e3", "0.5"], [1000, 0.5]), (["1e3", "5"], [1000, 5]),
        (["1", "2"], None), (["02139", "10001"], None), (["007", "1.5"], None), (["1.5", "inf"], None),
        (["1.5", "x"], None), (["0x1F", "1.5"], None), (["1_0", "1.5"], None), (["nan", "1.5"], None),
    ],
)  # fmt: skip
def test_undeclared_text_is_numbers_if_text_files_write_numbers_with_a_point(tmp_path, words, expected):
    frame = pd.DataFrame({"x": words, "k": 1})
    frame.to_csv(tmp_path / "x.csv", index=False)
    found = read(tmp_path / "x.csv", {"x": "x"})[0]["x"]
    np.testing.assert_array_equal(found if expected else [*map(str, found)], expected or words)
    assert read(frame, {"x": "x"})[0]["x"] == words


ODD_NUMBER, INFINITE, ODD_TIME = "unparsable number", "infinite number", "unparsable time"
NUMBERS = {
    "1e3": 1000, "1_000": ODD_NUMBER, " 5 ": 5, "-7.5": -7.5, "+2": 2, "inf": INFINITE, "-Infinity": INFINITE,
    "1,5": ODD_NUMBER, "0x10": ODD_NUMBER, ".5": 0.5, "1e999": INFINITE,
}  # fmt: skip
LATE = "time out of range"
TIMES = {
    "5": 5, "noon": ODD_TIME, "now": ODD_TIME, "epoch": ODD_TIME, "2020-13-01": ODD_TIME, "inf": INFINITE,
    "1850-01-01": LATE, "0001-01-01": LATE, "9999-12-31T00:00:00Z": LATE, "1e11": LATE,
}  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"kind": "number"}, {**NUMBERS, "nan": np.nan, "": np.nan}),
        ({"kind": "number", "needed": True}, {**NUMBERS, "nan": "missing number", "": "missing number"}),
        ({"kind": "time"}, TIMES),
    ],
)
def test_words_are_values_or_told_apart(tmp_path, spec, words):
    pd.DataFrame({"x": [*words], "k": 1}).to_csv(tmp_path / "x.csv", index=False)
    values, bad = read(tmp_path / "x.csv", {"x": spec})
    np.testing.assert_array_equal(values["x"], [v for v in words.values() if not isinstance(v, str)])
    reasons = [(line, reason) for line, reason in enumerate(words.values(), 2) if isinstance(reason, str)]
    assert [(line, reason) for line, _, reason, _ in bad] == reasons


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "mixed"])
def test_lines_count_the_header_blank_and_broken_lines_and_quoted_ends_of_lines_once(tmp_path, end):
    text = 'user,item~1,a~~2,"b|b"~3~4,d,e~~5,\udcff~,f~6,"g""h"~7,"x"y~8,~"",i~9,NA'
    rows = text.replace("|", "\n").split("~")
    ends = {"mixed": random.Random(0).choices(["\n", "\r\n"], k=len(rows))}.get(end, [end] * len(rows))
    text = "".join(row + end for row, end in zip(rows, ends, strict=True))
    values, bad = read(file(tmp_path, text.encode("utf-8", "surrogateescape")), USERS)
    assert values == {"user": [1, 2, 6, 9], "item": ["a", "b\nb", 'g"h', "NA"]}
    assert [row[:3] for row in bad] == [
        (5, "", "wrong number of fields"), (6, "", "wrong number of fields"), (8, "", "broken encoding"),
        (9, "user", "missing id"), (11, "", "quote never closed"), (12, "item", "missing id"),
        (13, "user", "missing id"),
    ]  # fmt: skip
    assert bad[1][3] == "4,d,e" and bad[3][3] is None


def test_a_quote_that_swallows_lines_is_refused_and_quote_none_reads_them(tmp_path):
    path = file(tmp_path, 'user,item\n1,a\n2,"b\n3,c\n4,d')
    message = refused(path, max_bad_share=1)
    assert f"line 3 of {path} opens a quote that it does not close: '2,\"b" in message
    assert "quote=None" in message and "quote=None" in refused(file(tmp_path, '"user\n1\n', "open.csv"))
    assert read(path, USERS, quote=None)[0]["item"] == ["a", '"b', "c", "d"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_layouts_of_text(tmp_path, encoding):
    path = file(tmp_path, "user ; item;n\n1;'é';1,5\n2;b;0\n".encode(encoding), "events.txt")
    layout = {"delimiter": ";", "decimal": ",", "quote": "'", "encoding": encoding.removesuffix("-sig")}
    values, _ = read(path, {**USERS, "n": {"kind": "number"}}, **layout)
    assert values == {"user": [1, 2], "item": ["é", "b"], "n": [1.5, 0]}
    path = file(tmp_path, "1::a:b::3\n007::c::4\n", "r.dat")
    events = read_events(path, delimiter="::", format="csv", header=["user", "item", "rating"])
    assert events.frame.values.tolist() == [["1", "a:b", 3], ["007", "c", 4]]
    assert "gives 1 names" in refused(path, delimiter="::", format="csv", header=["user"])


def test_rejects_beyond_the_limit_are_counted(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("torchrec_ext.data.sources.rejects.MOST_ROWS", 3)
    path = file(tmp_path, "user,item,rating\n" + "1,2,x\n" * 5 + ",2,1\n1,2\n1,2,3\n")
    bad = tmp_path / "bad.parquet"
    assert len(read_events(path, max_bad_share=1, rejected=bad)) == 1 and len(pd.read_parquet(bad)) == 3
    assert "holds the first 3 of 7 rejected rows" in caplog.text
    message = refused(path)
    assert "7 of 8 rows" in message and "5 with unparsable number (line 2" in message
    assert "1 with missing id (line 7" in message


MOMENT = datetime.datetime(2020, 1, 1)
ABROAD = MOMENT.replace(hour=2, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
MONTH = pd.Series(pd.period_range("2020-01", periods=1, freq="M"))


@pytest.mark.parametrize(
    "values",
    [
        pd.Series([MOMENT], dtype="datetime64[ns]"), [ABROAD], [MOMENT.date()], MONTH,
        pd.Series([MOMENT], dtype=object), pa.array([MOMENT], pa.timestamp("s")),
        pa.array([MOMENT.date()], pa.date64()),
    ],
)  # fmt: skip
def test_typed_times_mean_what_they_say(values):
    table = pa.table({"t": values}) if isinstance(values, pa.Array) else pd.DataFrame({"t": values})
    assert read(table, {"t": {"kind": "time"}})[0]["t"] == [1577836800]


def test_dataframes_keep_every_digit_and_are_not_touched():
    frame = pd.DataFrame({
        "user": pd.array([2**60 + 1, None, 5], dtype="Int64"), "item": pd.Categorical(["x", "y", "007"]),
        "price": ["5", 4, 0], "kind": [1.0, None, 2.5], 3: [b"x", b"y", "z"],
    }, index=[7, 7, 7])  # fmt: skip
    before = frame.copy()
    specs = {**USERS, "price": {"kind": "number"}, "kind": {"kind": "category"}, "third": "3"}
    expected = {"user": [2**60 + 1, 5], "item": ["x", "007"], "price": [5, 0], "kind": ["1", "2.5"]}
    assert read(frame, specs) == ({**expected, "third": ["x", "z"]}, [(2, "user", "missing id", None)])
    pd.testing.assert_frame_equal(frame, before)


NO_CATEGORY = "of which no category can be made"


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (pa.array([3, None, 3]), {}, [3, None, 3]), (pa.array([True, False]), {}, ["true", "false"]),
        (pa.array([[1, None], None]), {}, [[1], []]), (pa.nulls(2), {}, [None, None]),
        (pa.array([[1.0, 2.0], None, []]), {}, [[1, 2], None, None]),
        (pa.array([[], None], pa.list_(pa.float64())), {}, [None, None]),
        (pa.array([["a"], ["b", "c"], None, ["d"]]).slice(1, 3), {}, [["b", "c"], [], ["d"]]),
        (pa.array([[1.0], [1.0, 2.0]]), {}, "holds lists of 1 and of 2 numbers; declare the width"),
        (pa.array([{"a": 1}]), {}, NO_CATEGORY), (pa.array([[[1]]]), {}, NO_CATEGORY),
        (pa.array([[1]]), {"kind": "number"}, "expected numbers"),
        (pa.array([1]), {"kind": "vector", "width": 2}, "lists of 2 numbers"),
        (pa.array([[1]]), {"kind": "category"}, "is it of kind 'categories'?"),
        (pa.array([True]), {"kind": "time"}, "values of type BOOLEAN; expected seconds or dates"),
        # lists are lines of JSON, whose kind is what all values share
        ([1, 2.5, None], {}, [1, 2.5, np.nan]), ([1, "a", True], {}, ["1", "a", "true"]),
        ([None], {}, [None]),
        ([["a"], None, [1]], {}, [["a"], [], ["1"]]), ([[1, 2.5], [0.5, 1]], {}, [[1, 2.5], [0.5, 1]]),
        ([{"b": 1}, 2], {}, ["2"]), ([{"b": 1}], {}, NO_CATEGORY),
    ],
)  # fmt: skip
def test_values_are_what_their_type_says_or_refused_where_they_do_not_fit(tmp_path, values, kind, expected):
    if isinstance(values, list):
        source = write(tmp_path / "x.jsonl", [{"x": value, "k": 1} for value in values])
    else:
        source = pa.table({"x": values})
    if isinstance(expected, list):
        np.testing.assert_equal(read(source, {"x": {"column": "x", **kind}})[0]["x"], expected)
    else:
        with pytest.raises(InputError, match=f"^column 'x' of .*{re.escape(expected)}"):
            read(source, {"x": {"column": "x", **kind}})


@pytest.mark.parametrize("step", [1, -3, 2**38])
def test_integers_of_several_batches_get_codes_in_order_of_appearance(step):
    found, rng = Dictionary("x"), np.random.default_rng(0)
    batches = [pd.Series(rng.integers(-low, low, 50) * step, dtype="Int64") for low in (5, 9, 2**24)]
    batches[1][::7] = None
    codes = [found.add(pa.array(batch), False).to_pylist() for batch in batches]
    expected, words = pd.factorize(pd.concat(batches))
    assert sum(codes, []) == [None if code < 0 else code for code in expected]
    assert found.words.to_pylist() == words.tolist() and found.words.type == pa.int64()
