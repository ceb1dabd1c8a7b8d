"""Tables and columns declared in Python, by arguments and in TOML, and what cannot be declared."""

from pathlib import Path

import pandas as pd
import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.features import Number
from torchrec_ext.data.sources.declaration import WEIGHTS, Declaration, TableFile
from torchrec_ext.data.sources.find_declaration import find_declaration, read_declaration
from torchrec_ext.data.sources.read import read_events
from torchrec_ext.errors import InputError

TABLE = TableFile(pd.DataFrame({"user": [1], "item": [2]}))


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
        ({"features": {"item": [["price"]]}}, "item features should be a list of names, received "),
        ({"features": {"items": {}}}, "should be 'user', 'item' or 'context', received 'items'; did you"),
    ],
)
def test_a_table_and_a_data_set_declare_what_can_be(wrong, expected):
    of_a_set = wrong.keys() <= {"events", "users", "weights", "order", "features"}
    with pytest.raises(InputError, match=expected) as caught:
        Declaration("mine", **{"events": (TABLE,), **wrong}) if of_a_set else TableFile("a.csv", **wrong)
    assert "\n" not in str(caught.value)


def test_settings_of_text_hold_for_the_files_of_a_call_and_names_for_events_alone():
    text = {"delimiter": ";", "decimal": ",", "quote": None, "encoding": "latin-1"}
    found = find_declaration("a.csv", items="b.csv", header=["user", "item"], **text)
    assert found.events[0].header == ("user", "item") and found.items[0].header is True
    for table in (*found.events, *found.items):
        assert {name: getattr(table, name) for name in text} == text
    # settings that say nothing are refused, what is usual is not
    assert find_declaration([TABLE], quote='"', header=True).events == (TABLE,)
    assert "format means nothing for a DataFrame" in refused(TABLE.source, format="csv")
    assert "encoding means nothing for a Declaration" in refused(Declaration("a", [TABLE]), encoding="utf-16")


SHOP = """
name = "shop"
order = "time"
catalogue = "all"
max_bad_share = 0.5
itemless = ["search", "login"]
weights = { login = 0, purchase = 9 }
[[events]]
file = "clicks.txt"
delimiter = "::"
decimal = ","
quote = ""
encoding = "utf-16"
header = ["user", "item", "timestamp", "spent"]
columns = { spent = { kind = "number" } }
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
spent = {}
"""


@pytest.mark.parametrize("folder", ["", "folder = 'sub'"])
def test_every_key_by_hand_of_tables_beside_the_file_or_in_a_folder(tmp_path, folder):
    place = tmp_path / "sub" if folder else tmp_path
    write(place / "clicks.txt", '1::"7::0::0,5\n2::8::1::\n2::::1::2,0\n'.encode("utf-16"))
    write(place / "logins.csv", "who,timestamp\n1,1\n")
    write(place / "items.csv", 'item,price,junk\n"""7",1.5,x\n8,,y\n')
    events = read_events(write(tmp_path / "shop.toml", folder + SHOP))
    assert [[*row.values()] for row in rows(events)] == [
        [1, '"7', 0, "click", 0.5], [2, "8", 1, "click", None], [1, None, 1, "login", None],
    ]  # fmt: skip
    assert (events.source.name, events.source.order, events.catalogue) == ("shop", "time", "all")
    assert events.source.rows == 4 and events.source.steps[0].removed == 1
    assert events.items.columns.tolist() == ["item", "cost"]
    assert events.item_features == ("cost",) and events.context_features == ("spent",)
    assert events.options["item_cost"] == Number(missing="median")
    assert events.weights == {**WEIGHTS, "login": 0, "purchase": 9}
    assert read_declaration(tmp_path / "shop.toml", "b").events[0].source == Path("b", "clicks.txt")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("evnts = 5", "has no option 'evnts'; it has name, events, "),
        ("items = { file = 'i.csv', colums = {} }", "[[items]] has no option 'colums'; it has file, columns"),
        ("items = { columns = {} }", "[[items]] has no file, received None"),
        ("items = [5]", "[[items]] should be a table of keys and values, received 5"),
        ("items = { file = 'i.csv', gather = 1 }", "[[items]] 'i.csv': TableFile.gather should be a valid"),
        ("weights = [1]", "weights should be a valid dictionary, received [1]"),
        ("order =", " is not a TOML file: "),
        ("name = 'é'", " is not a TOML file: "),
    ],
)
def test_what_cannot_be_is_refused_with_the_file(tmp_path, more, expected):
    text = f"events = {{ file = 'events.csv' }}\n{more}\n"
    path = write(tmp_path / "set.toml", text.encode("latin-1"))
    message = refused(path)
    assert expected in message and message.startswith(str(path))


def test_arguments_go_before_the_declaration():
    table = TableFile(pd.DataFrame({"a": [1], "user": 2, "c": 3}), {"user": "a", "item": "user", "more": "c"})
    declared = Declaration("abc", (table,))
    assert rows(read_events(declared)) == [{"user": 1, "item": 2, "more": 3}]
    renamed = read_events(declared, columns={"user": "user", "item": "a", "more": ""})
    assert rows(renamed) == [{"user": 2, "item": 1}]
    # of several tables it is taken where it is there
    other = TableFile(pd.DataFrame({"user": [7], "item": [8], "d": [9]}))
    assert read_events([table, other], columns={"more": "d"}).frame["more"].tolist() == [3, 9]
    items = pd.DataFrame({"item": [2], "price": [3]})
    message = refused([table, other], items=items, columns={"cost": "prise"})
    assert "no table has a column 'prise', did you mean 'price'?" in message and "as cost; there" in message
    assert read_events(declared, items=items, columns={"cost": "price"}).item_features == ("cost",)


ITEMS = pd.DataFrame({"item": ["1"], "price": [3.0]})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"columns": {"x": {"colum": "user"}}}, "column 'x' has no option 'colum'; it has column, kind, "),
        ({"columns": {"ts": {"kind": "numbr"}}}, "column 'ts': kind should be 'id', "),
        ({"columns": {"ts": {"kind": "number", "unit": "s"}}}, "has a unit, which is for kind 'time' only"),
        ({"columns": {"ts": {"kind": "time", "unit": "min"}}}, "unit should be 's', 'ms', 'us' or 'ns'"),
        ({"columns": {"ts": {"kind": "vector"}}}, "of kind 'vector' has no width; set it"),
        ({"columns": {"ts": {"values": {"1": 1}}}}, "values.1 should be a valid string, received 1"),
        ({"columns": {"ts": {"column": 5}}}, "column 'ts' should be the table's name of it, or settings "),
        ({"columns": {"user": {"kind": "number"}}}, "is always of kind 'id', received 'number'"),
        ({"columns": {"user": {"needed": False}}}, "column 'user' is needed in each event"),
        ({"columns": "user"}, "the table's, such as {'user': 'uid'}, received 'user'"),
        ({"items": pd.DataFrame({"item": [1], "price": 1})}, "are integers (1), ids of column 'item' of"),
        ({"items": pd.DataFrame({"price": [1]})}, "has no id column of items; it has price"),
        ({"items": ITEMS, "item_features": ["prise"]}, "no item feature 'prise'; there are price"),
        ({"user_features": ["age"]}, "hand in a table of users"),
        ({"user_features": "age"}, "put it in a list"),
        ({"max_bad_share": 5}, "max_bad_share should be less than or equal to 1, received 5"),
        ({"catalogue": "alle"}, "should be 'events' or 'all', received 'alle'; did you mean 'all'?"),
        ({"delimiter": ";"}, "delimiter means nothing for a DataFrame; leave it out"),
        ({"context": {"price": 5}}, "context feature 'price': a feature should be a table"),
        ({"context": "price"}, "context features should be a list of names, received 'price'"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_refused(arguments, expected):
    assert expected in refused(ITEMS.assign(user="a", ts=3), **arguments)
