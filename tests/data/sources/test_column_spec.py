"""Columns declared by arguments, by tables and in TOML; settings and side tables that are refused."""

import json

import pandas as pd
import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.features import Number
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.read import read_events

EVENTS = """user,item,ts,tags,price,v,bought,shop
u,i,1600000000123,a|b,3,1;2,2020-01-01,007
u,j,1600000001000,,,3;4,,8
"""
COLUMNS = {
    "timestamp": {"column": "ts", "unit": "ms"},
    "labels": {"column": "tags", "kind": "categories"},
    "price": {"kind": "number"},
    "vector": {"column": "v", "kind": "vector", "separator": ";", "width": 2},
    "bought": {"column": "bought", "kind": "time"},
    "shop": {"column": "shop", "kind": "category"},
}
INLINE = ", ".join(
    f"{name} = {{ {', '.join(f'{key} = {json.dumps(value)}' for key, value in settings.items())} }}"
    for name, settings in COLUMNS.items()
)


@pytest.mark.parametrize("by", ["arguments", "table", "toml"])
def test_kinds_by_arguments_by_tables_and_by_toml(tmp_path, by):
    path = write(tmp_path / "events.csv", EVENTS)
    toml = write(tmp_path / "set.toml", f'events = {{ file = "events.csv", columns = {{ {INLINE} }} }}')
    source = {"arguments": path, "table": [TableFile(path, COLUMNS)], "toml": toml}[by]
    events = read_events(source, columns=COLUMNS if by == "arguments" else None)
    assert rows(events) == [
        {"user": "u", "item": "i", "timestamp": 1600000000.123, "labels": ["a", "b"], "price": 3.0,
         "vector": [1, 2], "bought": 1577836800.0, "shop": "007"},
        {"user": "u", "item": "j", "timestamp": 1600000001.0, "labels": [], "price": None,
         "vector": [3, 4], "bought": None, "shop": "8"},
    ]  # fmt: skip


def test_arguments_go_before_the_declaration(tmp_path):
    path = write(tmp_path / "events.csv", "a,user,c\n1,2,3\n")
    declared = Declaration("abc", (TableFile(path, {"user": "a", "item": "user", "more": "c"}),))
    assert rows(read_events(declared)) == [{"user": 1, "item": 2, "more": 3}]
    renamed = read_events(declared, columns={"user": "user", "item": "a", "more": ""})
    assert rows(renamed) == [{"user": 2, "item": 1}]
    # of several tables it is taken where it is there
    other = TableFile(pd.DataFrame({"user": [7], "item": [8], "d": [9]}))
    both = read_events([*declared.events, other], columns={"more": "d"})
    assert [row["more"] for row in rows(both)] == [3, 9]


def test_what_no_table_has_is_refused():
    events = pd.DataFrame({"user": [1], "item": [2]})
    items = pd.DataFrame({"item": [2], "price": [3]})
    message = refused([TableFile(events), TableFile(events)], items=items, columns={"cost": "prise"})
    assert "no table has a column 'prise', did you mean 'price'?" in message and "as cost; there" in message
    assert read_events(events, items=items, columns={"cost": "price"}).item_features == ("cost",)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"columns": {"x": {"colum": "user"}}}, "column 'x' has no option 'colum'; it has column, kind, "),
        ({"columns": {"ts": {"kind": "numbr"}}}, "column 'ts': kind should be 'id', "),
        ({"columns": {"ts": {"kind": "number", "unit": "s"}}}, "has a unit, which is for kind 'time' only"),
        ({"columns": {"ts": {"kind": "time", "unit": "min"}}},
         "column 'ts': unit should be 's', 'ms', 'us' or 'ns'"),
        ({"columns": {"ts": {"kind": "vector"}}}, "of kind 'vector' has no width; set it"),
        ({"columns": {"ts": {"kind": "type", "values": {"1": 1}}}},
         "values.1 should be a valid string, received 1"),
        ({"columns": {"ts": {"column": 5}}}, "column 'ts' should be the table's name of it, or settings "),
        ({"columns": {"user": {"kind": "number"}}},
         "column 'user' of events is always of kind 'id', received 'number'"),
        ({"columns": {"user": {"needed": False}}}, "column 'user' is needed in each event"),
        ({"columns": "user"},
         "columns should be our names with the table's, such as {'user': 'uid'}, received 'user'"),
        ({"items": pd.DataFrame({"item": [1], "price": 1})},
         "are integers (1), ids of column 'item' of the DataFrame strings ('1')"),
        ({"items": pd.DataFrame({"price": [1]})}, "has no id column of items; it has price"),
        ({"items": pd.DataFrame({"item": ["1"], "price": 1}), "item_features": ["prise"]},
         "no item feature 'prise'; there are price"),
        ({"user_features": ["age"]}, "hand in a table of users"),
        ({"user_features": "age"}, "put it in a list"),
        ({"max_bad_share": 5}, "max_bad_share should be less than or equal to 1, received 5"),
        ({"catalogue": "alle"}, "should be 'events' or 'all', received 'alle'; did you mean 'all'?"),
        ({"delimiter": ";"}, "delimiter means nothing for a DataFrame; leave it out"),
        ({"context": {"price": 5}}, "context feature 'price': a feature should be a table"),
        ({"context": {"price": {"kind": "nomber"}}}, "did you mean 'number'?"),
        ({"context": "price"}, "context features should be a list of names, received 'price'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments, expected):
    assert expected in refused(
        pd.DataFrame({"user": ["a"], "item": ["1"], "price": [3.0], "ts": 3}), **arguments
    )


def test_data_without_users_and_items():
    frame = pd.DataFrame({"clicked": [1, 0], "device": ["tv", None], "age": [3.0, None]})
    columns = {"user": "", "item": None, "rating": "clicked"}
    events = read_events(frame, columns=columns, context={"device": None, "age": {"kind": "number"}})
    assert rows(events) == [
        {"rating": 1.0, "device": "tv", "age": 3.0},
        {"rating": 0.0, "device": None, "age": None},
    ]
    assert events.options == {"context_age": Number()}
    assert (events.count("user"), events.count("item"), events.source.order) == (0, 0, "none")
