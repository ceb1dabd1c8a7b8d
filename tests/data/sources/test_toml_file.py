"""A TOML file that declares a data set."""

import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.features import Number
from torchrec_ext.data.sources.declaration import WEIGHTS, read_declaration
from torchrec_ext.data.sources.read import read_events

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
