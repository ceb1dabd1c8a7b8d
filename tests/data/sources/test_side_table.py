"""Side tables: files of several kinds, joined by their id, and how many ids of the events have a row."""

import dataclasses
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from tests.data.sources.tables import refused, write
from torchrec_ext.data import clean
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events

EVENTS = pd.DataFrame({"user": [1, 2], "item": [0, 2]})


def declared(events=EVENTS, **sides):
    return Declaration("mine", (TableFile(events),), **sides)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (np.arange(3), "holds an array of shape (3,); expected one row an id"),
        (np.ones((2, 0)), "holds an array of shape (2, 0)"),
        (np.ones((2, 2), complex), "holds an array of complex128; expected one array of numbers"),
        (np.array([[{}]]), "cannot read {path} as an array of NumPy"),
        (np.ones((0, 2)), "has no rows"),
        (b"x,y", "cannot read {path} as an array of NumPy"),
        *((text, "cannot read {path} as one JSON object of ids and values") for text in (
            '{"1": 5, "2": "x"}', "[1]", "{", "[" * 100_000, '{"1": 1180591620717411303424}',
            '{"1": "\\ud800"}',
        )),
    ],
)  # fmt: skip
def test_numpy_and_json_files_that_are_no_table(tmp_path, content, said):
    path = tmp_path / ("a.json" if isinstance(content, str) else "v.npy")
    if isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    else:
        write(path, content)
    assert said.format(path=path) in refused(EVENTS, items=path)


def test_numpy_rows_are_of_the_ids_0_1_2_and_json_has_an_entry_an_id(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1, 2], [3, 4], [np.nan, 6]]))
    tags = write(tmp_path / "a.json", '{"2": ["x", "y"], "0": [], "9": null}')
    tables = TableFile(tmp_path / "v.npy", {"image": "vector"}), TableFile(tags, {"tags": "value"})
    events = read_events(declared(items=tables))
    assert events.items["item"].tolist() == [0, 1, 2, 9]
    np.testing.assert_array_equal(np.stack(events.items["image"][:3]), [[1, 2], [3, 4], [np.nan, 6]])
    assert events.items.set_index("item")["tags"][[0, 2, 9]].tolist() == [[], ["x", "y"], []]
    assert list(events.source.files) == ["v.npy", "a.json"]
    assert read_events(EVENTS, items=tmp_path / "v.npy").item_features == ("vector",)


def test_edges_are_gathered_in_lists():
    knows = pd.array([7, 8, None, 9], dtype="Int64")
    edges = pd.DataFrame({"a": [2, 1, 2, 2], "b": knows, "w": list("pqrs")})
    edges = TableFile(edges, {"user": "a", "knows": "b"}, gather=True)
    events = read_events(declared(users=[edges]))
    assert events.users["user"].tolist() == [2, 1]
    assert events.users["w"].tolist() == [["p", "r", "s"], ["q"]]
    side = Preparation.fit(events.select_features(user=["knows"]), np.array([True, True])).sides["user"]
    flat, lengths = side.ids("user_knows", np.array([1, 2]))  # 7, 9 and 8 have the rows 1, 2 and 3
    assert flat.tolist() == [3, 1, 2] and lengths.tolist() == [1, 2]
    lists = declared(users=[TableFile(pd.DataFrame({"user": [1], "tags": [["a"]]}), gather=True)])
    assert "column 'tags' of the table of users holds lists; gather lays single values" in refused(lists)


YEARS = pd.DataFrame({"item": [0, 2], "year": [1990, 2000], "odd": [{"a": 1}, None]})


def test_tables_are_joined_integers_stay_integers_and_columns_can_be_left_out(tmp_path):
    years = TableFile(write(tmp_path / "years.parquet", YEARS), {"odd": ""})
    prices = TableFile(pd.DataFrame({"item": [2, 5], "price": [1.5, 2.5]}))
    items = read_events(declared(items=[years, prices])).items
    assert items["item"].tolist() == [0, 2, 5] and items["price"].tolist()[1:] == [1.5, 2.5]
    assert items["year"].isna().tolist() == [False, False, True] and items["year"][1] == 2000
    assert "two tables of items have a column 'year'; rename one" in refused(declared(items=[years] * 2))
    renamed = TableFile(YEARS, {"again": "year", "odd": None})
    assert read_events(declared(items=[years, renamed])).items.columns.tolist() == ["item", "year", "again"]
    assert "column 'odd' of" in refused(EVENTS, items=YEARS)
    assert read_events(EVENTS, items=YEARS, columns={"odd": None}).item_features == ("year",)


@pytest.mark.parametrize(
    ("table", "columns", "said"),
    [
        ({"item": [2, 3, 2]}, {}, "item 2 stands twice in the table of items; keep one row each"),
        ({"item": [2], "year": 1}, {"jahr": "yeer"}, "has no column 'yeer', did you mean 'year'?; it has "),
        ({"item": [2], "year": 1}, {"item": "itme"}, "has no column 'itme'"),
        ({"sku": [2], "item": ["shoe"]}, {"item": "sku"}, "a column 'item' beside that of the ids, 'sku'"),
    ],
)
def test_an_id_twice_and_columns_that_are_not_there_are_refused(table, columns, said):
    assert said in refused(declared(items=[TableFile(pd.DataFrame(table), columns)]))


def test_bad_rows_of_side_tables_count_and_are_written(tmp_path):
    items = write(tmp_path / "items.csv", "item,price\n0,1.5\n,2\n2,cheap\n3,4\n")
    tables = {"items": items, "columns": {"price": {"column": "price", "kind": "number"}}}
    bad = tmp_path / "deep" / "bad.parquet"
    events = read_events(EVENTS, **tables, max_bad_share=1 / 3, rejected=bad)
    assert events.items["item"].tolist() == [0, 3]
    assert events.source.rows == len(events) == 2 and events.source.steps == ()  # no event was set aside
    written = pd.read_parquet(bad).fillna("none")[["file", "line", "column", "value"]]
    assert written.values.tolist() == [[str(items), 3, "item", "none"], [str(items), 4, "price", "cheap"]]
    message = refused(EVENTS, **tables, max_bad_share=0.3)
    assert "2 of 6 rows of DataFrame are bad (33.33%), more than 30.00%: 1 with missing id" in message
    assert "cannot write the rejected rows to" in refused(EVENTS, rejected=items / "bad.parquet")


FOUR = pd.DataFrame({"user": ["1", "2", "3", "1"], "item": [10, 20, 30, 40]})


def people(*ids):
    return pd.DataFrame({"user": ids, "age": range(len(ids))})


def test_a_table_that_matches_nothing_is_refused(tmp_path):
    path = write(tmp_path / "users.csv", "user,age\n0001,30\n0002,40\n")
    message = refused(FOUR, users=path)
    assert f"{path} has a row for none of the 3 users of the events; expected the same ids" in message
    assert "received '1' in the events, '0001' in the table; write them alike, or leave the table" in message
    tables = TableFile(people("1", "2", "3")), TableFile(people("9"), {"age": None})
    assert "has a row for none of the 3 users" in refused(declared(FOUR, users=tables))  # each for itself


def test_less_than_half_is_warned_of():
    said = r"has a row for 1 of 3 users of the events \(33.3%\); .*, such as '2', are missing: check"
    with pytest.warns(UserWarning, match=said) as caught:
        events = read_events(FOUR, users=people("1", "02", "03", "04"))
    assert len(caught) == 1 and caught[0].filename == __file__
    assert events.source.sides == (SideMatch("the table of users", "user", 1, 3),)


@pytest.mark.filterwarnings("error")
def test_matches_are_shown_and_kept_and_half_is_enough(tmp_path, caplog):
    """Neither ids without an event nor rows set aside count."""
    caplog.set_level(logging.INFO)
    items = pd.DataFrame({"item": [10, 20, *range(1000, 1100)], "price": 1})
    events = read_events(FOUR, users=people("1", "2"), items=items)
    said = ["the table of users has a row for 2 of 3 users", "the table of items has a row for 2 of 4 items"]
    assert [line for line in caplog.messages if "has a row" in line] == said
    assert "; ".join(said) in events.summary()
    assert all(f"tables   {line}" in str(events.describe()) for line in said)
    assert clean(events, min_user_events=2).source.sides == events.source.sides
    save_events(events, tmp_path / "kept")
    assert dataclasses.asdict(open_events(tmp_path / "kept").source) == dataclasses.asdict(events.source)
    frame = pd.DataFrame({"user": ["1", "2", "2"], "item": ["a", None, None]})
    assert read_events(frame, users=people("1"), max_bad_share=1).source.sides[0].ids == 1


def test_a_header_of_numpy_that_is_cut_short(tmp_path):
    np.save(path := tmp_path / "v.npy", np.eye(3))
    content = bytearray(path.read_bytes())
    content[8:10] = (30).to_bytes(2, "little")  # the length of a header that ends within its brackets
    path.write_bytes(content)
    assert f"cannot read {path} as an array of NumPy: ('EOF in multi-line" in refused(EVENTS, items=path)


@pytest.mark.parametrize("several", [False, True])
def test_an_arrow_table_of_text_that_is_not_utf_8(several):
    offsets = pa.array([0, 1, 2, 3, 4], pa.int32()).buffers()[1]
    words = pa.StringArray.from_buffers(4, offsets, pa.py_buffer(b"ab\xffd"))
    column = pa.ListArray.from_arrays(pa.array([0, 2, 4], pa.int32()), words) if several else words[1:3]
    said = refused(EVENTS, items=pa.table({"item": [1, 2], "words": column}))
    assert "cannot read the table of items" in said and "UTF8" in said
