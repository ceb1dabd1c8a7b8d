"""Filters by value."""

import numpy as np
import pandas as pd
import pytest

from torchrec_ext.data import clean, read_events
from torchrec_ext.data.filters.where import matches, written
from torchrec_ext.errors import InputError

JANUARY = 1_704_067_200  # 2024-01-01, 00:00 UTC
DAY = 86_400
EVENTS = read_events(
    pd.DataFrame({
        "user": ["a", "a", "b", "c"],
        "item": [1, 2, 3, 2],
        "timestamp": [JANUARY, JANUARY + DAY, JANUARY + 2 * DAY, JANUARY + 3 * DAY],
        "rating": [5.0, 3.0, 2.5, 4.0],
        "country": ["de", None, "at", "fr"],
        "age": [20, 30, 40, 50],
        "price": [1.0, None, 3.0, 4.0],
        "vector": [np.float32([1, 2])] * 4,
    }),
    users=pd.DataFrame({"user": ["a", "b"], "group": ["x", "y"]}),
    items=pd.DataFrame({"item": [1, 2, 3], "genres": [["war", "drama"], [], ["drama"]]}),
    context=["country", "age", "price", "vector"],
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "wanted", "expected"),
    [
        ("rating", (3, None), "1101"),  # bounds belong to it
        ("rating", (3, 4), "0101"),
        ("rating", (None, "3"), "0110"),  # as a command line says it
        ("rating", [5, 2.5], "1010"),
        ("price", (None, 3), "1010"),  # a missing value never fits
        ("price", (None, None), "1011"),
        ("country", ["de", "at"], "1010"),
        ("country", {"nowhere"}, "0000"),
        ("age", (30, 40), "0110"),  # whole numbers have bounds
        ("age", ["30", 50], "0101"),  # and names
        ("user", ["a"], "1100"),
        ("timestamp", (JANUARY + DAY, None), "0111"),
        ("timestamp", ("2024-01-02", "2024-01-03"), "0110"),  # a date is its first instant
        ("timestamp", ["2024-01-02", JANUARY, JANUARY + 0.5], "1100"),
        ("timestamp", (pd.Timestamp("2024-01-02", tz="Europe/Berlin"), None), "0111"),
        ("group", ["x"], "1100"),  # of the users: c has none
        ("genres", ["drama"], "1010"),  # of the items: one of the list is enough
    ],
)
def test_what_fits(name, wanted, expected):
    assert "".join(map(str, matches(EVENTS, name, wanted).astype(int))) == expected


@pytest.mark.parametrize(
    ("name", "wanted", "match"),
    [
        (
            "colour",
            ["red"],
            "no column 'colour' to filter by; there are user, item, .*country, .*group, genres",
        ),
        ("country", "de", r"where 'country' takes \(low, high\) or a list of allowed values, received 'de'"),
        ("country", ("a", None), "has the bounds .* but holds words such as 'de'; give a list"),
        ("vector", (1, None), "where 'vector': the column holds vectors, which cannot be compared"),
        ("rating", ("high", None), "where 'rating' takes numbers, received 'high'"),
        ("rating", [None], "where 'rating' takes numbers, received None"),
        ("timestamp", ("soon", None), "'timestamp' should be unix seconds or a date .*, received 'soon'"),
        ("rating", (4, 3), r"bounds in the wrong order, received \(4, 3\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(name, wanted, match):
    with pytest.raises(InputError, match=match):
        matches(EVENTS, name, wanted)


def test_what_is_wanted_is_written_short():
    with pytest.raises(InputError, match="group=z removes all events of DataFrame; widen it"):
        clean(EVENTS, where={"group": ["z"]})
    assert written("item", list(range(7))) == "item=0,1,2,3,4,... (7 values)"
    assert written("t", (None, 5)) == "t=..5"
