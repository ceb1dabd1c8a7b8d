"""Garbled files: a clear refusal in one line, or every row in kept or set aside; never anything else."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.reading import delimited, text_rows
from torchrec_ext.data.reading.open_table import open_table
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.data.reading.read_blocks import read_blocks
from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.data.sources.column_spec import ColumnSpec as Column
from torchrec_ext.errors import InputError

COLUMNS = [
    Column("user", "u", "id", needed=True), Column("item", "i", "id"), Column("time", "t", "time"),
    Column("price", "p", "number", needed=True), Column("tags", "g", "categories"),
    Column("vector", "v", "vector", separator=" ", width=2),
    Column("type", "k", "type", values={"1": "view"}), Column("auto", "a", "auto"),
    Column("category", "i", "category"),
]  # fmt: skip
NAMES = ["u", "i", "t", "p", "g", "v", "k", "a"]
GOOD = ["7", "007", "1600000000", "2.5", "x|y", "1 2", "1", "NA"]
WORDS = st.sampled_from([
    *GOOD, "", " ", "inf", "-1e999", "nan", "1_0", "2020-01-01", "2020-01-01T00:00:00+02:00", "0000-00-00",
    "2020-99-01", "9999-12-31", "99999999999999999999", "|", "|||", "1 nan", "1 2 3",
    '"', '""', '"x', 'x"', '"x"y',
    '"a\nb"', '"a\r\n\r\nb"', '"a""b"', "é", "\0", "\ud7ff", "\ufdd0", ",", "\t", "\n", "\r",
])  # fmt: skip
BYTES = st.binary(max_size=6) | st.sampled_from(
    [b"\xff", b"\xc3", b"\n\n", b"\r", b'"', b'"\n', b",", b"\xef\xbb\xbf"]
)


@st.composite
def garbled_text(draw, delimiter):
    """Rows of which some are good, with pieces cut out and others put in."""
    rows = draw(st.lists(st.just(GOOD) | st.lists(WORDS, min_size=7, max_size=9), max_size=6))
    data = "\n".join(delimiter.join(row) for row in rows).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(BYTES) + data[at + draw(st.integers(0, 3)) :]
    header = delimiter.join(NAMES).encode() + draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    return header + data + draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))


def read(path, rows, columns=COLUMNS):
    """Reads all; returns the lines kept and those set aside."""
    rejects = Rejects()
    kept = []
    for block in read_blocks(open_table(path), columns, rejects, rows):
        assert block.rows.num_rows == len(block.lines) <= rows
        assert block.rows.schema.names == [column.name for column in columns]
        block.rows.validate(full=True)
        assert block.rows["user"].null_count == block.rows["price"].null_count == 0
        kept += block.lines.tolist()
    aside = [int(n) for _, lines, *_ in rejects._kept for n in lines]
    assert rejects.total == len(aside)
    return kept, aside


def read_or_refused(path, rows, columns=COLUMNS):
    try:
        return read(path, rows, columns)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return None


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


SETTINGS = settings(max_examples=300, deadline=None)


@pytest.mark.parametrize(("suffix", "delimiter"), [("csv", ","), ("tsv", "\t")])
def test_garbled_delimited_text(folder, suffix, delimiter):
    # The first block tells the unit, and here it is not the same one.
    in_seconds = [replace(c, unit="s") if c.kind == "time" else c for c in COLUMNS]

    @SETTINGS
    @given(data=garbled_text(delimiter), rows=st.integers(1, 4))
    def check(data, rows):
        path = folder / f"garbled.{suffix}"
        path.write_bytes(data)
        whole = read_or_refused(path, rows, in_seconds)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(delimited, "_CHUNK", 40)
            patch.setattr(delimited, "_LONGEST_ROW", 4000)
            pieces = read_or_refused(path, rows, in_seconds)
        if whole is not None:
            kept, aside = whole
            # Every line that is a row is there once.
            assert len(set(kept) | set(aside)) == len(kept) + len(aside)
            assert kept == sorted(kept)
            lines = set(range(2, max(kept + aside) + 1)) - set(kept) - set(aside)
            assert len(lines) <= data.count(b"\n") + data.count(b"\r")
        # Where a chunk ends decides nothing.
        assert (whole is None) == (pieces is None)
        if whole is not None:
            assert whole[0] == pieces[0] and sorted(whole[1]) == sorted(pieces[1])

    check()


TOLD = {
    "user": "u", "item": "i", "timestamp": {"column": "t", "unit": "s"}, "rating": "p",
    "type": {"column": "k", "values": {"1": "view", "2": "search"}},
    "tags": {"column": "g", "kind": "categories"}, "auto": "a",
    "vector": {"column": "v", "kind": "vector", "separator": " ", "width": 2},
}  # fmt: skip


@SETTINGS
@given(data=garbled_text(","))
def test_each_row_becomes_an_event_or_is_set_aside(folder, data):
    path, bad = folder / "events.csv", folder / "bad.parquet"
    path.write_bytes(data)
    try:
        events = read_events(path, columns=TOLD, max_bad_share=1, rejected=bad)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20
        return
    aside = pd.read_parquet(bad)
    assert events.source.rows == len(events) + len(aside)
    assert sum(step.removed for step in events.source.steps) == len(aside)
    rejects = Rejects()
    blocks = read_blocks(open_table(path), [Column("any", "a", "auto")], rejects)
    assert events.source.rows == sum(len(block.lines) for block in blocks) + rejects.total
    # whatever is kept is whole: each has a user and a time, and an item unless it is a search
    frame = events.frame
    assert frame[["user", "timestamp"]].notna().all(axis=None)
    assert (frame["item"].notna() | (frame["type"] == "search")).all()
    assert all(len(column) == len(events) for column in events.columns.values())
    assert set(aside["line"]) <= set(range(2, data.count(b"\n") + data.count(b"\r") + 3))


@pytest.mark.parametrize("name", ["bytes.csv", "bytes.tsv", "bytes.jsonl", "bytes.parquet", "bytes.csv.gz"])
def test_any_bytes(folder, name):
    @SETTINGS
    @given(data=st.binary(max_size=200), with_header=st.booleans(), rows=st.integers(1, 4))
    def check(data, with_header, rows):
        header = {".csv": b"u,i,t,p,g,v,k,a\n", ".tsv": b"u\ti\tt\tp\tg\tv\tk\ta\n"}.get(
            name[-4:], json.dumps(dict.fromkeys(NAMES)).encode() + b"\n"
        )
        (folder / name).write_bytes(header + data if with_header else data)
        read_or_refused(folder / name, rows)

    check()


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3) | WORDS
    | st.sampled_from([0, 1, 1600000000, 10**400])
)  # fmt: skip
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=1), SCALARS, max_size=2)
LINES = st.dictionaries(st.sampled_from(NAMES), VALUES).map(json.dumps) | st.just(
    json.dumps(dict(zip(NAMES, [7, "x", 1600000000, 2.5, ["x"], [1, 2], 1, None], strict=True)))
)


@SETTINGS
@given(
    lines=st.lists(LINES.map(str.encode) | st.binary(max_size=10) | st.just(b"[" * 100_000), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n"]),
    rows=st.integers(1, 4),
)
def test_garbled_json_lines(folder, lines, end, rows):
    path = folder / "garbled.jsonl"
    first = dict.fromkeys(NAMES)
    path.write_bytes(end.join([json.dumps(first).encode(), *lines]))
    found = read_or_refused(path, rows)
    if found is not None:
        kept, aside = found
        written = path.read_bytes().split(b"\n")
        words = [line.decode(errors="replace").removeprefix("\ufeff").strip() for line in written]
        assert sorted(kept + aside) == [n for n, word in enumerate(words, 1) if word]


@SETTINGS
@given(values=st.lists(VALUES, min_size=1, max_size=5), rows=st.integers(1, 4))
def test_any_objects_in_a_dataframe(values, rows):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name in NAMES})
    for column in COLUMNS:
        rejects = Rejects()
        try:
            kept = [block.lines for block in read_blocks(open_table(frame), [column], rejects, rows)]
        except InputError as error:
            assert "\n" not in str(error)
            continue
        lines = [*np.concatenate([np.empty(0, int), *kept]), *(n for _, ns, *_ in rejects._kept for n in ns)]
        assert sorted(map(int, lines)) == list(range(1, len(values) + 1))


@SETTINGS
@given(
    data=st.text(st.sampled_from('"""ab,\n\r'), max_size=30).map(lambda words: words.encode() + b"\n"),
    final=st.booleans(),
)
def test_the_quick_and_the_exact_way_find_the_same_rows(data, final):
    quick = text_rows.split_rows(data, b",", b'"', final)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_rows, "_well_formed", lambda *_: None)
        exact = text_rows.split_rows(data, b",", b'"', final)
    for one, other in zip(quick, exact, strict=True):
        np.testing.assert_array_equal(one, other)
