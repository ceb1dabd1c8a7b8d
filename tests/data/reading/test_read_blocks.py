"""Reading block by block: each kind, each format, each reason for which a row is set aside."""

import datetime
import gzip
import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from torchrec_ext.data.reading.delimited import Layout
from torchrec_ext.data.reading.open_table import CRITEO, open_table
from torchrec_ext.data.reading.read_blocks import read_blocks
from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.data.sources.column_spec import ColumnSpec as Column
from torchrec_ext.errors import InputError

USER = Column("user", "user", "id", needed=True)
ITEM = Column("item", "item", "id", needed=True)


def file(tmp_path, content, name="events.csv"):
    data = content.encode() if isinstance(content, str) else content
    path = tmp_path / name
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(source, *columns, rows=1 << 18, **how):
    """The columns of all blocks, the lines, and the rows set aside as (line, column, reason, value)."""
    rejects = Rejects()
    blocks = list(read_blocks(open_table(source, **how), columns, rejects, rows))
    values = {c.name: [v for b in blocks for v in b.rows[c.name].to_pylist()] for c in columns}
    assert all(len(b.lines) == b.rows.num_rows <= rows for b in blocks)
    return values, [int(n) for b in blocks for n in b.lines], aside(rejects)


def aside(rejects):
    return sorted(
        (int(line), column, reason, value)
        for _, lines, column, reason, values in rejects._kept
        for line, value in zip(lines, values, strict=True)
    )


def refused(source, *columns, **how):
    with pytest.raises(InputError) as caught:
        read(source, *columns, **how)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("rows", [1, 2, 1000])
def test_lines_of_text_count_the_header_blank_and_broken_lines_and_quoted_ends_of_lines_once(tmp_path, rows):
    path = file(tmp_path, b'user,item\n1,a\n\n2,"b\nb"\r\n3\n4,d,e\n\r\n5,\xff\n,f\n6,"g""h"\n7')
    values, lines, bad = read(path, USER, ITEM, rows=rows)
    assert values == {"user": ["1", "2", "6"], "item": ["a", "b\nb", 'g"h']}
    assert lines == [2, 4, 10]
    assert bad == [
        (5, "", "wrong number of fields", "3"),
        (6, "", "wrong number of fields", "4,d,e"),
        (8, "item", "broken encoding", "\ufffd"),
        (9, "user", "missing id", None),
        (11, "", "wrong number of fields", "7"),
    ]


def test_text_ids_stay_as_they_are_and_only_an_empty_field_is_missing(tmp_path):
    path = file(tmp_path, '\ufeffuser\titem\n007\tNA\n1.0\tnull\n" x"\t""\n', "events.tsv.gz")
    values, _, bad = read(path, USER, ITEM)
    assert values == {"user": ["007", "1.0"], "item": ["NA", "null"]}
    assert bad == [(4, "item", "missing id", None)]


def test_broken_bytes_in_a_column_that_is_not_read_do_no_harm(tmp_path):
    path = file(tmp_path, b"user,item,title\n1,a,\xe9\n2,b,\xe9,\n")
    values, _, bad = read(path, USER, ITEM)
    assert values["item"] == ["a"]
    assert bad == [(3, "", "wrong number of fields", "2,b,\ufffd,")]


def test_a_quote_that_never_closes_makes_its_own_line_bad(tmp_path):
    path = file(tmp_path, 'user,item\n1,a\n2,"b\n3,c\n4,d')
    values, lines, bad = read(path, USER, ITEM)
    assert (values["user"], lines) == (["1", "3", "4"], [2, 4, 5])
    assert bad == [(3, "", "quote never closed", '2,"b')]
    # Closed lines below, but amid a field.
    path = file(tmp_path, 'user,item\n1,a\n2,"b\n3,c\n4,d"e\n5,f')
    values, lines, bad = read(path, USER, ITEM)
    assert (values["item"], lines) == (["a", "c", 'd"e', "f"], [2, 4, 5, 6])
    assert bad == [(3, "", "quote never closed", '2,"b')]
    assert read(path, USER, ITEM, quote=None)[0]["item"] == ["a", '"b', "c", 'd"e', "f"]


def test_a_quote_that_never_closes_is_found_however_long_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr("torchrec_ext.data.reading.delimited._CHUNK", 64)
    monkeypatch.setattr("torchrec_ext.data.reading.delimited._LONGEST_ROW", 200)
    whole = [f'{n},"i\n{n}"\n' if n % 3 else f"{n},i{n}\n" for n in range(200)]
    values, lines, bad = read(file(tmp_path, "user,item\n" + "".join(whole)), USER, ITEM)
    assert values["user"] == [str(n) for n in range(200)] and lines == list(range(2, 202)) and not bad
    whole[50] = '50,"i50\n'
    broken = [f"{n},i{n}\n" if n > 50 else row for n, row in enumerate(whole)]
    values, lines, bad = read(file(tmp_path, "user,item\n" + "".join(broken)), USER, ITEM)
    assert bad == [(52, "", "quote never closed", '50,"i50')]
    assert lines == [n for n in range(2, 202) if n != 52]
    assert "longer than 200 bytes" in refused(file(tmp_path, "user,item\n" + "1" * 400 + ",2\n"), USER)


def test_ends_of_lines_of_any_kind(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        path = file(tmp_path, end.join(["user,item", "1,a", "", "2,b", "3"]))
        values, lines, bad = read(path, USER, ITEM)
        assert (values["item"], lines) == (["a", "b"], [2, 4])
        assert bad == [(5, "", "wrong number of fields", "3")]


def test_a_table_of_one_column(tmp_path):
    values, lines, bad = read(file(tmp_path, 'user\n1\n\n""\n2\n\n'), USER)
    assert (values["user"], lines, bad) == (["1", "2"], [2, 5], [(4, "user", "missing id", None)])


def test_files_without_a_header(tmp_path):
    path = file(tmp_path, "1;a\n007;b\n", "events.txt")
    names = {"format": "csv", "delimiter": ";"}
    columns = (Column("user", "0", "id"), Column("item", "1", "id"))
    values, lines, _ = read(path, *columns, header=None, delimiter=";")
    assert (values, lines) == ({"user": ["1", "007"], "item": ["a", "b"]}, [1, 2])
    assert read(path, USER, ITEM, header=["user", "item"], **names)[0] == values
    assert "has 2 fields in line 1, but 3 names" in refused(path, USER, header=["a", "b", "c"], **names)


def test_criteo(tmp_path):
    rows = [["1", *map(str, range(13)), *[f"{n:08x}" for n in range(26)]], ["0", *[""] * 38, '"']]
    path = file(tmp_path, "".join("\t".join(row) + "\n" for row in rows), "train.txt.gz")
    columns = [
        Column("label", "label", "number"),
        Column("I2", "I2", "number"),
        Column("C26", "C26", "category"),
    ]
    values, lines, bad = read(path, *columns, format="criteo")
    assert values == {"label": [1.0, 0.0], "I2": [1.0, None], "C26": ["00000019", '"']}
    assert lines == [1, 2] and not bad and len(CRITEO) == 40


def test_numbers_of_text(tmp_path):
    written = [
        "1e3",
        "1_000",
        " 5 ",
        "-7.5",
        "+2",
        "inf",
        "-Infinity",
        "nan",
        "",
        "1,5",
        "0x10",
        ".5",
        "1e999",
    ]
    path = file(tmp_path, "n\tk\n" + "".join(f"{w}\t1\n" for w in written), "n.tsv")
    values, _, bad = read(path, Column("n", "n", "number"))
    assert values["n"] == [1000.0, 5.0, -7.5, 2.0, None, None, 0.5]
    assert [(line, reason) for line, _, reason, _ in bad] == [
        (3, "unparsable number"), (7, "infinite number"), (8, "infinite number"),
        (11, "unparsable number"), (12, "unparsable number"), (14, "infinite number"),
    ]  # fmt: skip
    _, _, bad = read(path, Column("n", "n", "number", needed=True))
    assert [line for line, _, reason, _ in bad if reason == "missing number"] == [9, 10]


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (["0", "1", "2.5"], [0, 1, 2.5]),
        (["1577836800"], [1577836800]),
        (["1577836800500"], [1577836800.5]),
        (["1577836800000001"], [1577836800.000001]),
        (["1577836800000000000"], [1577836800]),
        (["2020-01-01", "2020-01-01T01:00:01"], [1577836800, 1577840401]),
        (
            ["2020-01-01T02:00:00+02:00", "2020-01-01 00:00:00.25", "1970-01-01"],
            [1577836800, 1577836800.25, 0],
        ),
        (["1577836800", "2020-01-01"], [1577836800, 1577836800]),
        (
            ["2020-01-01T00:00", " 2020-01-01T00:00:00.123456789", "2020-01-01T00"],
            [1577836800, 1577836800.1234567, 1577836800],
        ),
        (
            ["2020-01-01T00:00:00-0030", "2020-01-01T00:00:00.5+01", "1970-01-01"],
            [1577838600, 1577833200.5, 0],
        ),
        (["2020-01-01T00:00:00.1234567Z", "2020-01-01T00:00+00:30"], [1577836800.1234567, 1577835000]),
    ],
)
def test_times_are_unix_seconds(tmp_path, written, seconds):
    column = Column("time", "t", "time")
    found = read(file(tmp_path, "t,k\n" + "".join(f"{w},1\n" for w in written)), column)[0]["time"]
    # a block that knows nanoseconds keeps them
    assert [t.value / 1e9 if isinstance(t, pd.Timestamp) else t for t in found] == seconds
    assert read(pd.DataFrame({"t": written}), column)[0]["time"] == found


def test_bad_times_are_told_apart(tmp_path):
    written = [
        "5",
        "noon",
        "now",
        "inf",
        "1850-01-01",
        "0001-01-01",
        "9999-12-31T00:00:00Z",
        "2020-13-01",
        "1e11",
    ]
    bad = read(file(tmp_path, "t,k\n" + "".join(f"{w},1\n" for w in written)), Column("time", "t", "time"))[2]
    assert [(value, reason) for _, _, reason, value in bad] == [
        ("noon", "unparsable time"), ("now", "unparsable time"), ("inf", "infinite number"),
        ("1850-01-01", "time out of range"), ("0001-01-01", "time out of range"),
        ("9999-12-31T00:00:00Z", "time out of range"), ("2020-13-01", "unparsable time"),
        ("1e11", "time out of range"),
    ]  # fmt: skip


def test_the_first_block_decides_the_unit_and_it_is_told(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    frame = pd.DataFrame({"t": [1_600_000_000_000, 1_600_000_001_000, 1_600_000_002]})
    values, _, _ = read(frame, Column("time", "t", "time"), rows=2)
    assert values["time"] == [1.6e9, 1600000001.0, 1600000.002]
    assert "column 't' of the table: took times around 1.6e+12 as ms" in caplog.text
    values, _, bad = read(frame, Column("time", "t", "time", unit="s"))
    assert values["time"] == [1600000002.0] and [b[2] for b in bad] == ["time out of range"] * 2


def test_typed_times(tmp_path):
    moment = datetime.datetime(2020, 1, 1)
    there = datetime.timezone(datetime.timedelta(hours=2))
    for values in (
        pd.Series([moment, None], dtype="datetime64[ns]"),
        pd.Series([moment.replace(hour=2, tzinfo=there), None]),
        pd.Series([moment.date(), None]),
        pd.Series([moment, None], dtype=object),
        pa.array([moment, None], pa.timestamp("s")),
        pa.array([moment.date(), None], pa.date64()),
    ):
        table = pa.table({"t": values}) if isinstance(values, pa.Array) else pd.DataFrame({"t": values})
        assert read(table, Column("time", "t", "time"))[0]["time"] == [1577836800, None]
    assert "values of type bool; expected seconds or dates" in refused(
        pd.DataFrame({"t": [True]}), Column("time", "t", "time")
    )


def test_lists(tmp_path):
    tags, vector = Column("tags", "tags", "categories"), Column("v", "v", "vector", separator=" ", width=2)
    path = file(tmp_path, "tags,v\na|b,1 2\n,\n|c|,1e300 0\na,1\nb,1 x\nc,1  2\nd,inf 1\n")
    values, lines, bad = read(path, tags, vector)
    assert values == {"tags": [["a", "b"], None], "v": [[1.0, 2.0], None]} and lines == [2, 3]
    assert [(line, reason) for line, _, reason, _ in bad] == [
        (4, "infinite number"), (5, "wrong list length"), (6, "unparsable number"),
        (7, "wrong list length"), (8, "infinite number"),
    ]  # fmt: skip
    assert bad[0] == (4, "v", "infinite number", "1e300 0")
    table = pa.table({"tags": [["x", None, "y"], [], None], "v": [[1, 2], [3, 4], None]})
    for source in (table, table.to_pandas()):
        values, _, bad = read(source, tags, vector)
        assert values == {"tags": [["x", "y"], [], None], "v": [[1.0, 2.0], [3.0, 4.0], None]} and not bad
    rejects = Rejects()
    (block,) = read_blocks(open_table(table.slice(1, 2)), [tags, vector], rejects)
    assert block.rows.schema.field("v").type == pa.list_(pa.float32(), 2)
    assert block.rows.to_pydict() == {"tags": [[], None], "v": [[3.0, 4.0], None]}
    values, _, bad = read(pd.DataFrame({"v": [[1.0, None], [1.0], [np.inf, 1.0], [1, 2]]}), vector)
    assert values["v"] == [[1.0, 2.0]]
    assert [b[2] for b in bad] == ["missing number", "wrong list length", "infinite number"]
    assert read(pd.DataFrame({"tags": [1, 2]}), tags)[0]["tags"] == [[1], [2]]


def test_types_of_events(tmp_path):
    column = Column("type", "t", "type", needed=True, values={"1": "view", "2": "buy"})
    values, _, bad = read(file(tmp_path, "t,k\n1,1\n2,1\n3,1\n,1\n"), column)
    assert values["type"] == ["view", "buy"]
    assert bad == [(4, "t", "unknown event type", "3"), (5, "t", "missing value", None)]
    values, _, bad = read(pd.DataFrame({"t": [1.0, 2.0, None, 9.0]}), column)
    assert values["type"] == ["view", "buy"]
    assert bad == [(3, "t", "missing value", None), (4, "t", "unknown event type", "9.0")]
    assert read(pd.DataFrame({"t": [1, 2]}), Column("type", "t", "type"))[0]["type"] == ["1", "2"]


def test_json_lines(tmp_path):
    lines = [
        json.dumps({"user": 7, "item": "a", "tags": ["x", "y"], "price": 2, "t": "2020-01-01"}),
        "",
        '{"user": 8, "item"',
        "[1, 2]",
        json.dumps({"user": 2**60 + 1, "item": "b", "price": "3.5"}),
        json.dumps({"item": "c"}),
        json.dumps({"user": {"id": 1}, "item": "d"}),
        json.dumps({"user": 9, "item": "\ud800"}),
        json.dumps({"user": 9, "item": "e", "price": True, "tags": [1, "z"]}),
        json.dumps({"user": 9, "item": "f", "price": float("inf")}),
        json.dumps({"user": 9, "item": "g", "tags": {"x": 1}}),
        json.dumps({"user": 2**64, "item": "h"}),
    ]
    data = "\r\n".join(lines).encode() + b'\n{"user": 1, "item": "\xff"}'
    columns = (
        USER, ITEM, Column("price", "price", "number"), Column("tags", "tags", "categories"),
        Column("time", "t", "time"),
    )  # fmt: skip
    for name in ("events.jsonl", "events.ndjson.gz"):
        values, numbers, bad = read(file(tmp_path, data, name), *columns)
        assert values["user"] == [7, 2**60 + 1] and numbers == [1, 5]
        assert values["price"] == [2, 3.5] and values["tags"] == [["x", "y"], None]
        assert values["time"] == [1577836800, None]
        assert [(line, reason) for line, _, reason, _ in bad] == [
            (3, "not valid JSON"), (4, "not a JSON object"), (6, "missing id"), (7, "not an id"),
            (8, "not an id"), (9, "unparsable number"), (10, "infinite number"), (11, "not a single value"),
            (12, "not an id"), (13, "broken encoding"),
        ]  # fmt: skip
    mixed = file(tmp_path, '{"user": 1}\n{"user": "1"}\n', "mixed.jsonl")
    assert "ids of column 'user' of" in refused(mixed, USER) and "are mixed: 1, '1'" in refused(mixed, USER)
    assert "holds no JSON object" in refused(file(tmp_path, "user,item\n", "no.jsonl"), USER)


@pytest.mark.parametrize("rows", [1, 2, 100])
def test_parquet_a_file_or_a_folder_of_them(tmp_path, rows):
    table = pa.table({
        "user": pa.array([2**60 + 1, None, 3]), "item": pa.array(["a", "b", "007"]).dictionary_encode(),
        "price": pa.array([1.5, 2.0, float("nan")], pa.float32()),
    })  # fmt: skip
    (tmp_path / "parts" / "day=2").mkdir(parents=True)
    pq.write_table(table, tmp_path / "parts" / "day=2" / "0.parquet")
    pq.write_table(table.slice(2), tmp_path / "parts" / "1.parquet")
    (tmp_path / "parts" / "_SUCCESS").write_bytes(b"")
    columns = (USER, ITEM, Column("price", "price", "number"))
    values, lines, bad = read(tmp_path / "parts", *columns, rows=rows)
    assert values == {"user": [3, 2**60 + 1, 3], "item": ["007", "a", "007"], "price": [None, 1.5, None]}
    assert lines == [1, 1, 3] and bad == [(2, "user", "missing id", None)]
    pq.write_table(table.drop_columns(["item"]), tmp_path / "parts" / "2.parquet")
    assert "2.parquet has no column 'item'" in refused(tmp_path / "parts", *columns)


def test_dataframes_keep_every_digit_and_are_not_touched():
    frame = pd.DataFrame(
        {
            "user": pd.array([2**60 + 1, None, 5], dtype="Int64"),
            "item": pd.Categorical(["x", "y", "007"]),
            "price": ["5", 4, None],
            "kind": [1.0, None, 2.5],
            3: [b"x", b"y", "z"],
        },
        index=[7, 7, 7],
    )
    before = frame.copy()
    columns = (
        USER, ITEM, Column("price", "price", "number"), Column("kind", "kind", "category"),
        Column("third", "3", "auto"),
    )  # fmt: skip
    values, lines, bad = read(frame, *columns)
    assert values["user"] == [2**60 + 1, 5] and lines == [1, 3] and bad == [(2, "user", "missing id", None)]
    assert (
        values["item"] == ["x", "007"] and values["price"] == [5.0, None] and values["kind"] == ["1", "2.5"]
    )
    pd.testing.assert_frame_equal(frame, before)
    assert values["third"] == ["x", "z"]


def test_arrow_tables_of_many_types():
    table = pa.table({
        "user": pa.array([b"u", b"\xff", b"v"]), "item": pa.array([1, 2, 3], pa.uint8()),
        "flag": [True, None, False], "n": pa.array([1, 2, 3], pa.decimal128(10, 2)),
    })  # fmt: skip
    columns = (
        USER, ITEM, Column("flag", "flag", "category"), Column("label", "flag", "number"),
        Column("auto", "n", "auto"), Column("number", "n", "number"),
    )  # fmt: skip
    values, lines, bad = read(table, *columns)
    assert values["user"] == ["u", "v"] and values["item"] == [1, 3] and lines == [1, 3]
    assert values["flag"] == ["true", "false"] and values["label"] == [1.0, 0.0]
    assert values["number"] == [1.0, 3.0]
    assert [b[:3] for b in bad] == [(2, "user", "broken encoding")]


@pytest.mark.parametrize(
    ("users", "said"),
    [
        ([1.0, np.nan], "are floats (such as 1.0)"),
        (["a", 2], "are mixed: 'a', 2; ids must be all integers or all strings"),
        ([True, False], "are booleans"),
        ([b"a", b"b"], "are bytes"),
        ([1, 2**63], "is beyond 64 bits"),
    ],
)
def test_ids_of_other_kinds_are_refused(users, said):
    message = refused(pd.DataFrame({"user": users}), USER)
    assert said in message and "column 'user' of the table" in message


def test_a_row_is_set_aside_once_for_the_first_reason(tmp_path):
    path = file(tmp_path, "user,item,price\n,,x\n1,,x\n1,2,x\n")
    _, _, bad = read(path, USER, ITEM, Column("price", "price", "number"))
    assert [b[:3] for b in bad] == [
        (2, "user", "missing id"), (3, "item", "missing id"), (4, "price", "unparsable number"),
    ]  # fmt: skip


def test_what_cannot_be_read_is_named(tmp_path):
    path = file(tmp_path, "user,item\n1,2\n")
    assert "no column 'usr', did you mean 'user'?; it has user, item" in refused(
        path, Column("u", "usr", "id")
    )
    assert "asked for twice" in refused(path, USER, USER)
    assert "at least one" in refused(path)
    assert "at least 1, received 0" in refused(path, USER, rows=0)
    assert "more than once" in refused(file(tmp_path, "user,user\n1,2\n", "twice.csv"), USER)
    assert "has no rows" in refused(file(tmp_path, "user,item\n", "header.csv"), USER)
    assert "has no rows" in refused(file(tmp_path, "user,item", "header.csv"), USER)
    assert "has no rows" in refused(pd.DataFrame({"user": []}), USER)
    assert "is empty" in refused(file(tmp_path, "", "empty.csv"), USER)
    assert "is empty" in refused(file(tmp_path, "\n\n", "blank.csv"), USER)
    assert "is empty" in refused(file(tmp_path, "", "empty.csv.gz"), USER)
    assert "tells no format" in refused(file(tmp_path, "user\n1\n", "events.txt"), USER)
    assert "no format 'json'" in refused(path, USER, format="json")
    assert "is a folder" in refused(tmp_path, USER) and "is a folder" in refused(tmp_path, USER, format="csv")
    assert f"did you mean {path}?" in refused(tmp_path / "event.csv", USER)
    assert "received int" in refused(5, USER)
    assert "one ASCII character, received '::'" in refused(path, USER, delimiter="::")
    assert "give two different ones" in refused(path, USER, delimiter="|", quote="|")
    assert "is no UTF-8" in refused(file(tmp_path, b"us\xe9r\n1\n", "latin.csv"), USER)
    assert "is UTF-16" in refused(file(tmp_path, "user\n1\n".encode("utf-16"), "wide.csv"), USER)
    assert "opens a quote that it never closes" in refused(file(tmp_path, '"user\n1\n', "open.csv"), USER)
    assert "expected numbers" in refused(pa.table({"n": [[1]]}), Column("n", "n", "number"))
    assert "is it of kind 'categories'?" in refused(pa.table({"n": [[1]]}), Column("n", "n", "category"))
    assert "expected lists of 2 numbers" in refused(pa.table({"n": [1]}), Column("n", "n", "vector", width=2))


def test_files_cut_short_are_named(tmp_path):
    whole = gzip.compress(b"user,item\n" + b"1,2\n" * 3_000_000)
    (tmp_path / "cut.csv.gz").write_bytes(whole[: len(whole) // 2])
    assert f"cannot read {tmp_path / 'cut.csv.gz'}, is it cut short" in refused(tmp_path / "cut.csv.gz", USER)
    pq.write_table(pa.table({"user": [1]}), tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-20])
    assert f"cannot read {tmp_path / 'cut.parquet'}" in refused(tmp_path / "cut.parquet", USER)


def test_a_layout_is_what_a_file_says(tmp_path):
    layout = open_table(file(tmp_path, "\ufeff\n\na,007\n1,2\n"))._layout
    assert layout == Layout(("a", "007"), ",", '"', start=3 + 2 + 6, line=4)
