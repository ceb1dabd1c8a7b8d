"""Declarations of data sets, in Python and in TOML: what cannot be is refused where it is declared."""

import pandas as pd
import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.features import Category, Number
from torchrec_ext.data.sources.declaration import (
    WEIGHTS,
    Declaration,
    TableFile,
)
from torchrec_ext.data.sources.find_declaration import find_declaration, read_declaration
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError

TABLE = TableFile(pd.DataFrame({"user": [1], "item": [2]}))
TEXT = {"delimiter": ";", "decimal": ",", "quote": None, "encoding": "latin-1"}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"format": "cvs"}, "TableFile.format should be 'csv', .*, received 'cvs'; did you mean 'csv'?"),
        ({"delimiter": ""}, "delimiter should have at least 1 character, received ''"),
        ({"delimiter": "::::é"}, "delimiter should have at most 4 bytes, received '::::é'"),
        ({"header": "user"}, "header should be True or a list, received 'user'"),
        ({"decimal": ";"}, "decimal should be '.' or ',', received ';'"),
        ({"quote": "''"}, "quote should have at most 1 character"),
        ({"colums": {}}, "TableFile has no option 'colums'; it has .*; did you mean 'columns'?"),
        ({"events": ()}, "mine declares no table of events"),
        ({"events": ["a.csv"]}, "events.0 should be an instance of TableFile, received 'a.csv'"),
        ({"events": (TableFile("a.csv", gather=True),)}, "which is for side tables"),
        ({"users": (TableFile("a.csv", type="view"),)}, "has a type, which is for tables of events"),
        ({"weights": {"view": -1, "buy": -1}}, "weights.view should be greater than or equal to 0, rec"),
        ({"order": "tim"}, "received 'tim'; did you mean 'time'?"),
        ({"features": {"items": {}}}, "should be 'user', 'item' or 'context', received 'items'; did you"),
    ],
)
def test_a_table_and_a_data_set_declare_what_can_be(wrong, expected):
    of_a_set = wrong.keys() <= {"events", "users", "weights", "order", "features"}
    with pytest.raises(InputError, match=expected) as caught:
        Declaration("mine", **{"events": (TABLE,), **wrong}) if of_a_set else TableFile("a.csv", **wrong)
    assert "\n" not in str(caught.value)


def test_features_are_names_or_names_with_options():
    given = {"a": {}, "b": None, "c": {"kind": "number", "scale": "quantile"}, "d": Category(hash=9)}
    assert Declaration("mine", [TABLE], features={"user": ["a", "b"], "item": given}).features == {
        "user": {"a": None, "b": None},
        "item": {"a": None, "b": None, "c": Number(scale="quantile"), "d": Category(hash=9)},
    }


def test_settings_of_text_hold_for_the_files_of_a_call_and_names_for_events_alone():
    found = find_declaration("a.csv", items="b.csv", header=["user", "item"], **TEXT)
    assert found.events[0].header == ("user", "item") and found.items[0].header is True
    for table in (*found.events, *found.items):
        assert {name: getattr(table, name) for name in TEXT} == TEXT
    # settings that say nothing are refused, what is usual is not
    assert find_declaration([TABLE], quote='"', header=True).events == (TABLE,)
    assert "format means nothing for a DataFrame" in refused(TABLE.source, format="csv")
    declared = Declaration("mine", [TABLE])
    assert "encoding means nothing for a Declaration" in refused(declared, encoding="utf-16")


SHOP = """
name = "shop"
order = "time"
max_bad_share = 0.5
itemless = ["search", "login"]
weights = { login = 0, purchase = 9 }

[[events]]
file = "clicks.txt"
delimiter = ";"
header = ["user", "item", "timestamp", "day"]
type = "click"

[[events]]
file = "logins.csv"
type = "login"
columns = { user = "who" }

[[items]]
file = "items.csv"
columns = { cost = { column = "price", kind = "number" }, junk = "" }

[features.item]
cost = { kind = "number", missing = "median" }

[features.context]
day = {}
"""


def test_every_key_by_hand(tmp_path):
    write(tmp_path / "clicks.txt", "1;7;0;Mon\n2;8;1;Sun\n2;;1;Sun\n")
    write(tmp_path / "logins.csv", "who,timestamp\n1,1\n")
    write(tmp_path / "items.csv", "item,price,junk\n7,1.5,x\n8,,y\n")
    events = read_events(write(tmp_path / "shop.toml", SHOP))
    assert rows(events) == [
        {"user": 1, "item": 7, "timestamp": 0, "type": "click", "day": "Mon"},
        {"user": 2, "item": 8, "timestamp": 1, "type": "click", "day": "Sun"},
        {"user": 1, "item": None, "timestamp": 1, "type": "login", "day": None},
    ]
    assert events.source.name == "shop" and events.source.order == "time"
    assert events.source.rows == 4 and events.source.steps[0].removed == 1
    assert events.items.columns.tolist() == ["item", "cost"]
    assert events.item_features == ("cost",) and events.context_features == ("day",)
    assert events.options == {"item_cost": Number(missing="median")}
    assert events.weights == {**WEIGHTS, "login": 0, "purchase": 9}


def test_tables_lie_beside_the_file_or_in_the_folder_it_names(tmp_path):
    write(tmp_path / "a" / "events.csv", "user,item\n1,2\n")
    beside = write(tmp_path / "a" / "set.toml", "events = { file = 'events.csv' }")
    above = write(tmp_path / "above.toml", "folder = 'a'\nevents = { file = 'events.csv' }")
    assert len(read_events(beside)) == len(read_events(above)) == 1
    assert read_declaration(above, tmp_path / "b").events[0].source == tmp_path / "b" / "events.csv"
    away = write(tmp_path / "away.toml", "events = { file = 'events.csv' }")
    assert f"no file {tmp_path / 'events.csv'}" in refused(away)


def test_settings_of_text_and_the_catalogue(tmp_path):
    table = 'file = "e.csv"\ndelimiter = "::"\ndecimal = ","\nquote = ""\nencoding = "utf-16"\nheader = true'
    found = read_declaration(write(tmp_path / "set.toml", f'catalogue = "all"\n[[events]]\n{table}\n'))
    text = {"delimiter": "::", "decimal": ",", "quote": None, "encoding": "utf-16", "header": True}
    assert {name: getattr(found.events[0], name) for name in text} == text and found.catalogue == "all"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("evnts = 5", "has no option 'evnts'; it has name, events, "),
        ("features.items = ['x']", "received 'items'; did you mean 'item'?"),
        ("items = { file = 'i.csv', colums = {} }", "[[items]] has no option 'colums'; it has file, columns"),
        ("items = { columns = {} }", "[[items]] has no file, received None"),
        ("items = [5]", "[[items]] should be a table of keys and values, received 5"),
        ("items = { file = 'i.csv', gather = 1 }", "[[items]] 'i.csv': TableFile.gather should be a valid"),
        ("weights = [1]", "weights should be a valid dictionary, received [1]"),
        ("order =", " is not a TOML file: "),
        ("name = 'é'", " is not a TOML file: "),
        ("events = []", "declares no table of events"),
        (None, "no file"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file(tmp_path, more, expected):
    path = tmp_path / "set.toml"
    if more is not None:
        events = "" if "events" in more else "events = { file = 'events.csv' }"
        path.write_bytes(f"{events}\n{more}\n".encode("latin-1"))
    message = refused(path)
    assert expected in message and str(path) in message
    assert more is None or message.startswith(str(path))
