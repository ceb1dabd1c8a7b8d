"""Several tables of events in one log, and events of several types."""

import pandas as pd
import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events


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


def test_a_column_of_two_kinds_is_refused():
    def table(values, **settings):
        frame = pd.DataFrame({"user": 1, "item": 1, "x": values})
        return TableFile(frame, {"x": settings} if settings else {})

    words, numbers = table(["1"], kind="category"), table(["1"], kind="number")
    of = "of kind category in the DataFrame and number in the DataFrame; declare the same kind for both"
    assert f"column 'x' is {of}" in refused([words, numbers], context=["x"])
    assert f"column 'x' is {of}" in refused([table(["L"]), table([1.5])], context=["x"])  # not declared
    narrow, wide = (table([[1.0] * width], kind="vector", width=width) for width in (2, 3))
    assert "declare the same kind for both" in refused([narrow, wide])


def test_columns_kept_in_files_are_the_same(tmp_path):
    columns = {"void": None, "words/of it": [["x"], [], ["x", "x"]], "v": [[1.0, 2.0]] * 3}
    frame = pd.DataFrame({"user": [3, 1, 3], "item": [*"aba"], **columns})
    path, context = write(tmp_path / "events.parquet", frame), ["words/of it", "v", "void"]
    in_memory = read_events(path, context=context)
    in_files = read_events(path, context=context, folder=tmp_path / "columns")
    pd.testing.assert_frame_equal(in_memory.frame, in_files.frame)
    assert in_memory.source == in_files.source
    message = refused(path, folder=tmp_path / "columns")
    assert "cannot keep columns in" in message and "name an empty folder" in message


def test_csv_parquet_and_json_lines_become_one_log(tmp_path):
    clicks = write(tmp_path / "clicks.csv", "uid,sku,at,price\nann,7,100,1.5\nbob,8,101,\n")
    bought = {"customer": ["bob"], "sku": [7], "ts": [102_000], "stars": [4]}
    orders = write(tmp_path / "orders.parquet", pd.DataFrame(bought))
    asked = [{"user": "ann", "time": 103, "q": "red shoe"}, {"user": "cid", "time": 104, "q": None}]
    searches = write(tmp_path / "searches.jsonl", asked)
    when, words = {"column": "ts", "unit": "ms"}, {"column": "q", "kind": "categories", "separator": " "}
    of_orders = {"user": "customer", "rating": "stars", "item": "sku", "timestamp": when}
    log = [
        TableFile(clicks, {"user": "uid", "item": "sku", "timestamp": "at"}, type="click"),
        TableFile(orders, of_orders, type="purchase"),
        TableFile(searches, {"words": words}, type="search"),
    ]
    events = read_events(log, context=["price", "words"])
    assert events.frame.columns.tolist() == ["user", "item", "timestamp", "rating", "type", "price", "words"]
    assert [[*row.values()] for row in rows(events)] == [
        ["ann", 7, 100, None, "click", 1.5, []],
        ["bob", 8, 101, None, "click", None, []],
        ["bob", 7, 102, 4, "purchase", None, []],
        ["ann", None, 103, None, "search", None, ["red", "shoe"]],
        ["cid", None, 104, None, "search", None, []],
    ]
    assert list(events.source.files) == ["clicks.csv", "orders.parquet", "searches.jsonl"]
    assert events.source.name == f"{clicks} and {orders} and {searches}"


@pytest.mark.parametrize(
    ("in_text", "typed", "expected"),
    [
        (["7", "-3"], [7, 12], [7, -3, 7, 12]),  # integers in both
        (["7", "x"], ["7", "y"], ["7", "x", "7", "y"]),
        (["7", "8"], ["7", "y"], ["7", "8", "7", "y"]),  # words in one, so words in both
        (["7", "007"], ["7", "8"], ["7", "007", "7", "8"]),
    ],
)
def test_ids_of_text_and_typed_tables_agree(tmp_path, in_text, typed, expected):
    text = write(tmp_path / "a.csv", "user,item\n" + "".join(f"1,{word}\n" for word in in_text))
    lines = write(tmp_path / "c.jsonl", [{"user": 1, "item": item} for item in typed])
    table = TableFile(pd.DataFrame({"user": 1, "item": typed}))
    events = read_events([TableFile(text), table, TableFile(lines)])
    assert events.frame["item"].tolist() == [*expected, *expected[2:]]
    assert events.count("item") == len(set(expected))  # one value, one code


def test_ids_that_cannot_agree_are_refused(tmp_path):
    integers = TableFile(pd.DataFrame({"user": [1], "item": [1]}))
    message = refused([integers, TableFile(write(tmp_path / "a.csv", "user,item\n1,5\n1,x\n"))])
    assert "holds integers (1) and strings ('x')" in message and "astype(str)" in message


def test_events_that_need_no_item_are_kept_and_others_set_aside(tmp_path, caplog):
    path = write(tmp_path / "log.csv", "user,item,type\n1,7,view\n1,,search\n1,,view\n1,,\n2,7,search\n")
    found = [(row["item"], row["type"]) for row in rows(read_events(path, max_bad_share=0.4))]
    assert found == [(7, "view"), (None, "search"), (7, "search")]
    assert "set aside 2 rows of 5 (2 missing id)" in caplog.text
    asks = Declaration("asks", (TableFile(path),), itemless=("view",), max_bad_share=1)
    assert read_events(asks).frame["type"].tolist() == ["view", "view", "search"]


def test_a_select_makes_rows_of_those_of_a_table(tmp_path):
    shown = pd.DataFrame({"reader": [1, 2], "at": [5, 6], "shown": [[7, 8], [9]], "clicked": [[8], []]})
    shown.to_parquet(tmp_path / "shown.parquet")
    select = """SELECT reader AS user, unnest(shown) AS item, "at" AS timestamp,
        CAST(list_contains(clicked, unnest(shown)) AS INTEGER) AS rating FROM this"""
    for source in (shown, tmp_path / "shown.parquet"):
        found = read_events(Declaration("shown", [TableFile(source, select=select)]))
        expected = [(1, 7, 5, 0), (1, 8, 5, 1), (2, 9, 6, 0)]
        assert [
            tuple(row[name] for name in ("user", "item", "timestamp", "rating")) for row in rows(found)
        ] == expected
    message = refused(Declaration("shown", [TableFile(shown, select="SELECT nothing FROM this")]))
    assert "the select of the DataFrame cannot be executed" in message and "nothing" in message


def test_broken_lines_below_a_select_are_rejected_and_rows_are_counted_in_its_result(tmp_path):
    path = write(tmp_path / "lines.csv", "user,items\n1,7 8\n2,9,too many\n3,\n")
    select = "SELECT user, unnest(string_split(items, ' ')) AS item FROM this"
    table = TableFile(path, select=select, quote=None)
    message = refused(Declaration("lines", [table]))
    assert "1 with wrong number of fields (line 3" in message
    events = read_events(Declaration("lines", [table], max_bad_share=0.9))
    assert [(row["user"], row["item"]) for row in rows(events)] == [(1, 7), (1, 8)]


@pytest.mark.parametrize("quote", ['"', None])
def test_a_line_with_a_field_too_many_is_rejected_whatever_the_quote(tmp_path, quote):
    path = write(tmp_path / "lines.csv", "user,item\n1,7\r\n2,9,8\n3,7\n")
    events = read_events(path, quote=quote, max_bad_share=0.9)
    assert [(row["user"], row["item"]) for row in rows(events)] == [(1, 7), (3, 7)]


@pytest.mark.parametrize(
    "select",
    [
        "WITH a AS (FROM This), b AS (FROM A) SELECT user, item FROM b ORDER BY item -- the last first",
        """WITH RECURSIVE n AS (SELECT 7 AS item UNION ALL SELECT item + 2 FROM n WHERE item < 9)
        SELECT user, item FROM n, (SELECT DISTINCT user FROM this) ORDER BY item;""",
        'WITH "events.csv" AS (FROM this) SELECT user, item FROM "events.csv" ORDER BY item',
    ],
)
def test_a_select_may_name_its_parts(tmp_path, select):
    table = TableFile(write(tmp_path / "events.csv", "user,item\n1,9\n1,7\n"), select=select)
    assert [row["item"] for row in rows(read_events(Declaration("events", [table])))] == [7, 9]


@pytest.mark.parametrize(
    "select",
    [
        "SELECT user, item FROM this); COPY (SELECT 1) TO '{other}'; SELECT * FROM (SELECT 1",
        "SELECT user, item FROM this; COPY (SELECT 1) TO '{other}'",
        "SELECT user, content AS item FROM this, read_text('{path}')",
        "SELECT user, (SELECT max(item) FROM '{path}') AS item FROM this",
        "SELECT user, item FROM this, duckdb_settings()",
        "SELECT user, item FROM query('SELECT 1 AS user, 2 AS item')",
        'WITH "{path}" AS (FROM "{path}") SELECT user, item FROM "{path}"',
        'WITH RECURSIVE "{path}" AS (FROM "{path}" UNION FROM this) SELECT user, item FROM "{path}"',
        'WITH a AS (FROM "{path}"), "{path}" AS (FROM this) SELECT user, item FROM a',
        'SELECT user, item FROM (WITH "{path}" AS (FROM this) FROM "{path}") UNION ALL FROM "{path}"',
        'WITH "events.csv" AS (FROM this) SELECT user, item FROM events.csv',
        "SELECT user, " + "+".join(["item"] * 800) + " AS item FROM this",
        "SELECT user, item FROM main.this",
    ],
)
def test_a_select_reads_and_writes_nothing_but_its_own_table(tmp_path, select):
    path = write(tmp_path / "events.csv", "user,item\n1,7\n")
    table = TableFile(path, select=select.format(path=path, other=tmp_path / "other"))
    message = refused(Declaration("events", [table]))
    assert message.startswith(f"the select of {path} ") and "\n" not in message
    assert [file.name for file in tmp_path.iterdir()] == ["events.csv"]
