"""A TOML file that declares a data set."""

import pytest

from tests.data.reading.tables import refused, rows, write
from torchrec_ext.data.features import Number
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.data.sources.declaration import WEIGHTS
from torchrec_ext.data.sources.toml_file import read_declaration

SHOP = """
name = "shop"
about = "made up"
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
    above = write(tmp_path / "set.toml", "folder = 'a'\nevents = { file = 'events.csv' }")
    assert len(read_events(beside)) == len(read_events(above)) == 1
    assert read_declaration(above, tmp_path / "b").events[0].source == tmp_path / "b" / "events.csv"
    assert f"no file {tmp_path / 'events.csv'}" in refused(
        write(tmp_path / "set.toml", "events = { file = 'events.csv' }")
    )


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("evnts = 5", "has no key 'evnts', did you mean 'events'?; there are name, about"),
        ("features.items = ['x']", "[features] of {path} has no key 'items', did you mean 'item'?"),
        ("features.item = 'x'", "item features must be a list of names"),
        ("features.item.x = { kind = 'numbr' }", "item feature 'x': kind of a feature should be"),
        ("features.item.x = 5", "item feature 'x': a feature should be a table"),
        ("items = { file = 'i.csv', colums = {} }", "[[items]] of {path} has no key 'colums'"),
        ("items = { columns = {} }", "[[items]] of {path} names no file, received None"),
        ("items = [5]", "[[items]] of {path} must be a table of keys and values, received 5"),
        ("items = { file = 5 }", "[[items]] of {path} names no file, received 5"),
        ("items = { file = 'i.csv', gather = 1 }", "should be true or false, received 1"),
        ("weights = [1]", "weights of {path} should be a table of names and values, received [1]"),
        ("weights.view = '1'", "should be a number of 0 or more, received '1'"),
        ("itemless = 'search'", "should be a list of strings, received 'search'"),
        ("max_bad_share = '1%'", "should be a share from 0 to 1, received '1%'"),
        ("order = 5", "should be 'time' or 'order' or 'none', or nothing, received 5"),
        ("order =", "{path} is no TOML file: "),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_the_file(tmp_path, more, said):
    path = write(tmp_path / "set.toml", f"events = {{ file = 'events.csv' }}\n{more}\n")
    message = refused(path)
    assert said.format(path=path) in message and str(path) in message


def test_files_that_are_none(tmp_path):
    assert "declares no table of events" in refused(write(tmp_path / "set.toml", "name = 'x'"))
    (tmp_path / "latin.toml").write_bytes("name = 'é'".encode("latin-1"))
    assert "is no TOML file" in refused(tmp_path / "latin.toml")
    assert f"no file {tmp_path / 'no.toml'}" in refused(tmp_path / "no.toml")
