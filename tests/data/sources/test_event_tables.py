"""Several tables of events in one log, and events of several types."""

import pandas as pd
import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events


@pytest.fixture
def clicks(tmp_path):
    return write(tmp_path / "clicks.csv", "uid,sku,at,price\nann,7,100,1.5\nbob,8,101,\n")


def test_csv_parquet_and_json_lines_become_one_log(tmp_path, clicks):
    bought = {"customer": ["bob"], "sku": [7], "ts": [102_000], "stars": [4]}
    orders = write(tmp_path / "orders.parquet", pd.DataFrame(bought))
    asked = [{"user": "ann", "time": 103, "q": "red shoe"}, {"user": "cid", "time": 104, "q": None}]
    searches = write(tmp_path / "searches.jsonl", asked)
    when, of_orders = {"column": "ts", "unit": "ms"}, {"user": "customer", "rating": "stars", "item": "sku"}
    words = {"column": "q", "kind": "categories", "separator": " "}
    log = [
        TableFile(clicks, {"user": "uid", "item": "sku", "timestamp": "at"}, type="click"),
        TableFile(orders, {**of_orders, "timestamp": when}, type="purchase"),
        TableFile(searches, {"words": words}, type="search"),
    ]
    events = read_events(log, context=["price", "words"])
    blank = {"rating": None, "price": None, "words": []}
    assert rows(events) == [
        {**blank, "user": "ann", "item": 7, "timestamp": 100, "type": "click", "price": 1.5},
        {**blank, "user": "bob", "item": 8, "timestamp": 101, "type": "click"},
        {**blank, "user": "bob", "item": 7, "timestamp": 102, "type": "purchase", "rating": 4},
        {**blank, "user": "ann", "item": None, "timestamp": 103, "type": "search", "words": ["red", "shoe"]},
        {**blank, "user": "cid", "item": None, "timestamp": 104, "type": "search"},
    ]
    names = ["user", "item", "timestamp", "rating", "type", "price", "words"]
    assert events.frame.columns.tolist() == names
    assert events.count("user") == 3 and events.count("item") == 2
    assert list(events.source.files) == ["clicks.csv", "orders.parquet", "searches.jsonl"]
    assert events.source.name == f"{clicks} and {orders} and {searches}"


@pytest.mark.parametrize(("in_text", "typed", "expected"), [
    (["7", "-3"], [7, 12], [7, -3, 7, 12]),  # integers in both
    (["7", "x"], ["7", "y"], ["7", "x", "7", "y"]),
    (["7", "8"], ["7", "y"], ["7", "8", "7", "y"]),  # words in one, so words in both
    (["7", "007"], ["7", "8"], ["7", "007", "7", "8"]),
])  # fmt: skip
def test_ids_of_text_and_typed_tables_agree(tmp_path, in_text, typed, expected):
    text = write(tmp_path / "a.csv", "user,item\n" + "".join(f"1,{word}\n" for word in in_text))
    table = write(tmp_path / "b.parquet", pd.DataFrame({"user": 1, "item": typed}))
    lines = write(tmp_path / "c.jsonl", [{"user": 1, "item": item} for item in typed])
    events = read_events([TableFile(text), TableFile(table), TableFile(lines)])
    assert events.frame["item"].tolist() == [*expected, *expected[2:]]
    # one value, one code, whichever file it stands in
    assert events.distinct("item").is_unique
    assert events.count("item") == len(set(expected)) and events.frame["user"].tolist() == [1] * 6


def test_ids_that_cannot_agree_are_refused(tmp_path):
    integers = write(tmp_path / "a.parquet", pd.DataFrame({"user": [1], "item": [1]}))
    words = write(tmp_path / "b.csv", "user,item\n1,5\n1,x\n")
    message = refused([TableFile(integers), TableFile(words)])
    assert "column 'item' of" in message and "holds integers (1) and strings ('x')" in message
    assert "astype(str)" in message


def test_events_that_need_no_item_are_kept_and_others_set_aside(tmp_path, caplog):
    path = write(tmp_path / "log.csv", "user,item,type\n1,7,view\n1,,search\n1,,view\n1,,\n2,7,search\n")
    events = read_events(path, max_bad_share=0.4, rejected=tmp_path / "bad.parquet")
    found = [(row["item"], row["type"]) for row in rows(events)]
    assert found == [(7, "view"), (None, "search"), (7, "search")]
    assert "set aside 2 rows of 5 (2 missing id)" in caplog.text
    bad = pd.read_parquet(tmp_path / "bad.parquet")
    assert bad[["line", "column", "reason"]].values.tolist() == [[n, "item", "missing id"] for n in (4, 5)]
    asks = Declaration("asks", (TableFile(path),), itemless=("view",), max_bad_share=1)
    assert [row["type"] for row in rows(read_events(asks))] == ["view", "view", "search"]


def test_a_table_without_items_keeps_what_needs_none():
    views = TableFile(pd.DataFrame({"user": [1], "item": [7], "type": ["view"]}))
    asks = pd.DataFrame({"user": [1, 2], "type": ["search", "view"]})
    events = read_events([views, TableFile(asks, {"item": ""})], max_bad_share=0.4)
    assert [(row["user"], row["type"]) for row in rows(events)] == [(1, "view"), (1, "search")]
    message = refused([views, TableFile(asks, {"item": ""}, type="view")])
    assert "1 with missing id (line 2, column 'item': no value)" in message
    assert "has no column for item" in refused([views, TableFile(asks)])
    assert len(read_events([views, TableFile(asks[:1].drop(columns="type"), type="search")])) == 2


def test_a_user_or_a_time_is_in_all_tables_or_in_none():
    whole = pd.DataFrame({"user": [1], "item": [7], "timestamp": [5]})
    tables = [TableFile(whole), TableFile(whole.drop(columns="timestamp"))]
    assert "has the column 'timestamp' and the DataFrame has none; name it in both" in refused(tables)
    assert read_events(tables, columns={"timestamp": ""}).source.order == "none"
    assert "has the column 'user'" in refused([TableFile(whole), TableFile(whole, {"user": None})])


def test_a_column_of_two_kinds_is_refused(clicks):
    as_words = TableFile(clicks, {"user": "uid", "item": "sku", "price": {"kind": "category"}})
    as_numbers = TableFile(clicks, {"user": "uid", "item": "sku", "price": {"kind": "number"}})
    assert refused([as_words, as_numbers]) == (
        f"column 'price' is of kind category in {clicks} and number in {clicks}; declare the same kind "
        "for both"
    )
    narrow, wide = (
        TableFile(pd.DataFrame({"user": [1], "item": [1], "v": [[1.0] * width]}),
                  {"v": {"kind": "vector", "width": width}})
        for width in (2, 3)
    )  # fmt: skip
    assert "declare the same kind for both" in refused([narrow, wide])
    numbers, words = (TableFile(pd.DataFrame({"user": [1], "item": 1, "size": size})) for size in (1.5, "L"))
    message = refused([numbers, words], context=["size"])  # not declared
    assert "is of kind number in the DataFrame and category in the DataFrame; declare the same" in message


def test_columns_kept_in_files_are_the_same(tmp_path):
    frame = pd.DataFrame({
        "user": [3, 1, 3], "item": ["a", "b", "a"], "timestamp": [10**9, 10**9 + 2, 10**9 + 1], "void": None,
        "words/of it": [["x"], [], ["x", "x"]], "v": [[1.0, 2.0]] * 3, "price": [1.5, None, 2],
    })  # fmt: skip
    path = write(tmp_path / "events.parquet", frame)
    context = ["words/of it", "v", "price", "void"]
    in_memory = read_events(path, context=context)
    in_files = read_events(path, context=context, folder=tmp_path / "columns")
    pd.testing.assert_frame_equal(in_memory.frame, in_files.frame)
    assert in_memory.source == in_files.source
    message = refused(path, folder=tmp_path / "columns")
    assert "cannot keep columns in" in message and "name an empty folder" in message


def test_files_of_one_name_are_both_in_the_record(tmp_path):
    files = [write(tmp_path / day / "log.csv", f"user,item\n1,{day}\n") for day in ("1", "2")]
    source = read_events([TableFile(file) for file in files]).source
    assert list(source.files) == ["1/log.csv", "2/log.csv"]
    assert source.sha256 == source.files["1/log.csv"] != source.files["2/log.csv"]
