"""Garbled tables: a clear refusal in one line, or every row in kept or rejected; never anything else."""

import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.sources.tables import write
from torchrec_ext.data.events import Events
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError

NAMES = [*"uitpgvka"]
COLUMNS = {
    "user": "u", "item": "i", "timestamp": {"column": "t", "unit": "s"}, "rating": "p",
    "type": {"column": "k", "values": {"1": "view", "2": "search"}},
    "tags": {"column": "g", "kind": "categories"}, "auto": "a",
    "vector": {"column": "v", "kind": "vector", "separator": " ", "width": 2},
}  # fmt: skip
GOOD = ["7", "007", "1600000000", "2.5", "x|y", "1 2", "1", "NA"]
WORDS = st.sampled_from([
    *GOOD, "", " ", "inf", "-1e999", "nan", "1_0", "2020-01-01", "2020-01-01T00:00:00+02:00", "0000-00-00",
    "2020-99-01", "9999-12-31", "99999999999999999999", "|", "|||", "1 nan", "1 2 3",
    '"', '""', '"x', 'x"', '"x"y', '"a\nb"', '"a\r\n\r\nb"', '"a""b"', "é", "\0", "\ud7ff",
    ",", "\t", "\n", "\r",
])  # fmt: skip
BYTES = st.binary(max_size=6) | st.sampled_from(
    [b"\xff", b"\xc3", b"\n\n", b"\r", b'"', b'"\n', b",", b"\xef\xbb\xbf"]
)
SETTINGS = settings(max_examples=100, deadline=None)


@st.composite
def garbled_text(draw):
    """Rows of which some are good, with pieces cut out and others put in."""
    rows = draw(st.lists(st.just(GOOD) | st.lists(WORDS, min_size=7, max_size=9), max_size=6))
    data = "\n".join(",".join(row) for row in rows).encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(BYTES) + data[at + draw(st.integers(0, 3)) :]
    header = ",".join(NAMES).encode() + draw(st.sampled_from([b"\n", b"\r\n", b"\r"]))
    return header + data + draw(st.sampled_from([b"", b"\n", b"\r\n", b"\n\n"]))


def read_or_refused(source, bad, columns=COLUMNS) -> tuple[Events, pd.DataFrame] | None:
    try:
        context = [name for name in columns if name == "auto"]
        events = read_events(source, columns=columns, context=context, max_bad_share=1, rejected=bad)
    except InputError as error:
        assert "\n" not in str(error) and len(str(error)) > 20 and "Traceback" not in str(error)
        return None
    aside = pd.read_parquet(bad)
    assert events.source.rows == len(events) + len(aside)
    assert sum(step.removed for step in events.source.steps) == len(aside)
    assert not aside["line"].duplicated().any()
    events.table.validate(full=True)
    return events, aside


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@SETTINGS
@given(data=garbled_text())
def test_each_row_of_garbled_text_becomes_an_event_or_is_rejected(folder, data):
    path = write(folder / "events.csv", data)
    if (found := read_or_refused(path, folder / "bad.parquet")) is None:
        return
    events, aside = found
    # whatever is kept is whole: each has a user and a time, and an item unless it is a search
    frame = events.frame
    assert frame[["user", "timestamp"]].notna().all(axis=None)
    assert (frame["item"].notna() | (frame["type"] == "search")).all()
    assert set(aside["line"]) <= set(range(2, data.count(b"\n") + data.count(b"\r") + 3))
    again = read_or_refused(write(folder / "copy.csv.gz", data), folder / "bad.parquet")
    assert again is not None and again[1].drop(columns="file").equals(aside.drop(columns="file"))


@pytest.mark.parametrize("name", ["bytes.csv", "bytes.tsv", "bytes.jsonl", "bytes.parquet", "bytes.csv.gz"])
@SETTINGS
@given(data=st.binary(max_size=200), headed=st.booleans())
def test_any_bytes(folder, name, data, headed):
    mark = {".csv": ",", ".tsv": "\t"}.get(name[-4:])
    header = (mark.join(NAMES) if mark else json.dumps(dict.fromkeys(NAMES))).encode() + b"\n"
    (folder / name).write_bytes(header * headed + data)
    read_or_refused(folder / name, folder / "bad.parquet")


SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=3) | WORDS
    | st.sampled_from([0, 1, 1600000000, 10**400])
)  # fmt: skip
VALUES = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=1), SCALARS, max_size=2)
WHOLE = json.dumps(dict(zip(NAMES, [7, "x", 1600000000, 2.5, ["x"], [1, 2], 1, None], strict=True)))
LINES = st.dictionaries(st.sampled_from(NAMES), VALUES).map(json.dumps) | st.just(WHOLE)


@SETTINGS
@given(
    lines=st.lists(LINES.map(str.encode) | st.binary(max_size=10) | st.just(b"[" * 100_000), max_size=8),
    end=st.sampled_from([b"\n", b"\r\n"]),
)
def test_each_line_of_garbled_json_becomes_an_event_or_is_rejected(folder, lines, end):
    path = folder / "garbled.jsonl"
    path.write_bytes(end.join([WHOLE.encode(), *lines]))
    found = read_or_refused(path, folder / "bad.parquet")
    if found is not None and not any(b"\r" in line for line in lines):
        text = path.read_bytes().decode(errors="replace").removeprefix("\ufeff")
        assert found[0].source.rows == sum(bool(line.strip(" \t\r")) for line in text.split("\n"))


@pytest.mark.slow
@SETTINGS
@given(values=st.lists(VALUES, min_size=1, max_size=5))
def test_any_objects_in_a_dataframe(folder, values):
    frame = pd.DataFrame({name: pd.Series(values, dtype=object) for name in NAMES})
    for name, spec in {**COLUMNS, "category": {"column": "i", "kind": "category"}}.items():
        left_out = dict.fromkeys(("user", "item", "timestamp", "rating", "type"))
        read_or_refused(frame, folder / "bad.parquet", {**left_out, name: spec})
