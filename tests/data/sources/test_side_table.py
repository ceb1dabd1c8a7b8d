"""Side tables: files of several kinds, joined by their id, and how many ids of the events have a row."""

import dataclasses
import logging
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.data.sources.tables import refused, write
from torchrec_ext.data import clean
from torchrec_ext.data.event_files import open_events, save_events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events

EVENTS = pd.DataFrame({"user": [1, 2], "item": [0, 2]})


def with_items(*tables):
    return Declaration("mine", (TableFile(EVENTS),), items=tables)


def test_rows_of_a_numpy_file_are_vectors_of_the_ids_0_1_2(tmp_path):
    np.save(tmp_path / "v.npy", np.array([[1, 2], [3, 4], [np.nan, 6]]))
    events = read_events(with_items(TableFile(tmp_path / "v.npy", {"image": "vector"})))
    assert events.items["item"].tolist() == [0, 1, 2] and events.items.columns.tolist() == ["item", "image"]
    np.testing.assert_array_equal(np.stack(events.items["image"]), [[1, 2], [3, 4], [np.nan, 6]])
    assert read_events(EVENTS, items=tmp_path / "v.npy").item_features == ("vector",)


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


def test_entries_of_a_json_object(tmp_path):
    path = write(tmp_path / "a.json", '{"2": ["x", "y"], "0": [], "9": null}')
    events = read_events(with_items(TableFile(path, {"tags": "value"})))
    assert events.items["item"].tolist() == [2, 0, 9]
    assert events.items["tags"].tolist() == [["x", "y"], [], []]
    assert list(events.source.files) == ["a.json"]


def test_edges_are_gathered_in_lists():
    knows = pd.array([7, 8, None, 9], dtype="Int64")
    edges = pd.DataFrame({"a": [2, 1, 2, 2], "b": knows, "w": list("pqrs")})
    knows = TableFile(edges, {"user": "a", "knows": "b"}, gather=True)
    events = read_events(Declaration("graph", (TableFile(EVENTS),), users=(knows,)))
    assert events.users["user"].tolist() == [2, 1]
    assert events.users["w"].tolist() == [["p", "r", "s"], ["q"]]
    side = Preparation.fit(events.select_features(user=["knows"]), np.array([True, True])).sides["user"]
    flat, lengths = side.ids("user_knows", np.array([1, 2]))  # 7, 9 and 8 have the rows 1, 2 and 3
    assert flat.tolist() == [3, 1, 2] and lengths.tolist() == [1, 2]
    lists = TableFile(pd.DataFrame({"user": [1], "tags": [["a"]]}), gather=True)
    declared = Declaration("graph", (TableFile(EVENTS),), users=(lists,))
    assert "column 'tags' of the table of users holds lists; gather lays single values" in refused(declared)


def test_two_tables_are_joined_and_integers_stay_integers():
    years = pd.DataFrame({"item": [0, 2], "year": [1990, 2000]})
    brands = pd.DataFrame({"item": [2, 5], "brand": ["x", "y"], "price": [1.5, 2.5]})
    events = read_events(with_items(TableFile(years), TableFile(brands)))
    assert events.items["item"].tolist() == [0, 2, 5]
    assert [None if pd.isna(y) else y for y in events.items["year"]] == [1990, 2000, None]
    assert events.items["price"].tolist()[1:] == [1.5, 2.5] and np.isnan(events.items["price"][0])
    twice = with_items(TableFile(years), TableFile(years))
    assert "two tables of items have a column 'year'; rename one" in refused(twice)
    renamed = with_items(TableFile(years), TableFile(years, {"again": "year"}))
    assert read_events(renamed).items.columns.tolist() == ["item", "year", "again"]


def test_an_id_twice_and_columns_that_are_not_there_are_refused():
    twice = pd.DataFrame({"item": [2, 3, 2], "year": 1990})
    assert "item 2 stands twice in the table of items; keep one row each" in refused(EVENTS, items=twice)
    table = pd.DataFrame({"item": [2], "year": [1990]})
    assert "has no column 'yeer', did you mean 'year'?; it has item, year" in refused(
        with_items(TableFile(table, {"jahr": "yeer"}))
    )
    assert "has no column 'itme'" in refused(with_items(TableFile(table, {"item": "itme"})))
    beside = pd.DataFrame({"sku": [2], "item": ["shoe"]})
    assert "has a column 'item' beside that of the ids, 'sku'" in refused(
        EVENTS.rename(columns={"item": "sku"}), columns={"item": "sku"}, items=beside
    )


def test_columns_are_left_out_where_they_are_mapped_to_nothing(tmp_path):
    table = pd.DataFrame({"item": [2], "year": [1990], "odd": [{"a": 1}]})
    path = write(tmp_path / "items.parquet", table)
    assert "column 'odd' of" in refused(EVENTS, items=path)
    assert read_events(EVENTS, items=path, columns={"odd": None}).item_features == ("year",)
    assert read_events(with_items(TableFile(path, {"odd": ""}))).items.columns.tolist() == ["item", "year"]


def test_bad_rows_of_side_tables_count_and_are_written(tmp_path):
    items = write(tmp_path / "items.csv", "item,price\n0,1.5\n,2\n2,cheap\n3,4\n")
    told = {"price": {"column": "price", "kind": "number"}}
    bad = tmp_path / "deep" / "bad.parquet"
    events = read_events(EVENTS, items=items, columns=told, max_bad_share=1 / 3, rejected=bad)
    assert events.items["item"].tolist() == [0, 3] and len(events) == 2
    assert events.source.rows == 2 and events.source.steps == ()  # no event was set aside
    written = pd.read_parquet(bad).fillna("none")
    assert written[["file", "line", "column", "value"]].values.tolist() == [
        [str(items), 3, "item", "none"],
        [str(items), 4, "price", "cheap"],
    ]
    message = refused(EVENTS, items=items, columns=told, max_bad_share=0.3)
    assert message.startswith(
        "2 of 6 rows of DataFrame are bad (33.33%), more than 30.00%: 1 with missing id"
    )
    (tmp_path / "file").write_text("x")
    assert "cannot write the rejected rows to" in refused(EVENTS, rejected=tmp_path / "file" / "bad.parquet")


FOUR = pd.DataFrame({"user": ["1", "2", "3", "1"], "item": [10, 20, 30, 40]})


def people(*ids):
    return pd.DataFrame({"user": ids, "age": range(len(ids))})


def silent(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return read_events(*args, **kwargs)


def test_a_table_that_matches_nothing_is_refused(tmp_path):
    path = write(tmp_path / "users.csv", "user,age\n0001,30\n0002,40\n")
    assert refused(FOUR, users=path) == (
        f"{path} has a row for none of the 3 users of the events; expected the same ids, received '1' in the "
        "events, '0001' in the table; write them alike, or leave the table out"
    )
    declared = Declaration("mine", (TableFile(FOUR),), users=(
        TableFile(people("1", "2", "3")), TableFile(people("9"), {"age": None}),
    ))  # fmt: skip
    assert "has a row for none of the 3 users" in refused(declared)  # each table counts for itself


def test_less_than_half_is_warned_of():
    with pytest.warns(UserWarning) as caught:
        events = read_events(FOUR, users=people("1", "02", "03", "04"))
    assert [str(w.message) for w in caught] == [
        "the table of users has a row for 1 of 3 users of the events (33.3%); the features of the others, "
        "such as '2', are missing: check that both write ids alike"
    ]
    assert caught[0].filename == __file__
    assert events.source.sides == (SideMatch("the table of users", "user", 1, 3),)


def test_half_is_enough_and_neither_other_ids_nor_rows_set_aside_count():
    more = pd.DataFrame({"item": [10, 20, *range(1000, 1100)], "price": 1})
    assert silent(FOUR, items=more).source.sides == (SideMatch("the table of items", "item", 2, 4),)
    frame = pd.DataFrame({"user": [1, 2, 2], "item": ["a", None, None]})
    events = silent(frame, users=pd.DataFrame({"user": [1], "age": [30]}), max_bad_share=1)
    assert events.source.sides[0].ids == 1


def test_matches_are_shown_and_kept(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        events = silent(FOUR, users=people("1", "2"), items=pd.DataFrame({"item": [10, 20, 30], "p": 1}))
    said = ["the table of users has a row for 2 of 3 users", "the table of items has a row for 3 of 4 items"]
    assert [line for line in caplog.messages if "has a row" in line] == said
    assert "; ".join(said) in events.summary()
    assert all(f"tables   {line}" in str(events.describe()) for line in said)
    assert clean(events, min_user_events=2).source.sides == events.source.sides
    save_events(events, tmp_path / "kept")
    assert dataclasses.asdict(open_events(tmp_path / "kept").source) == dataclasses.asdict(events.source)
