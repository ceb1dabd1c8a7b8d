"""What describe() finds, in figures, as text and as a sheet."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import image, pyplot

from torchrec_ext.data import clean, describe, read_events, sheet

DAY = 86_400
FIRST = 1_704_067_200  # 2024-01-01, 00:00 UTC


@pytest.fixture
def events():
    frame = pd.DataFrame({
        "user": list("abaabb"), "item": [1, 1, 2, 1, 3, 3],
        "timestamp": FIRST + np.array([0, 0, 60, 10 * DAY, 30, 30]), "rating": [5.0, 4.0, 4.0, 3.0, 1.0, 2.5],
        "type": ["view", "buy", "view", "view", "view", "buy"],
        "page": ["x", None, "y", None, "x", "x"], "weight": [1.0, np.nan, 1.0, 1.0, 1.0, 1.0],
    })  # fmt: skip
    users = pd.DataFrame({"user": ["a", "b"], "age": [30.0, None]})
    items = pd.DataFrame({"item": [1, 2, 3, 4], "genres": [["x"], [], None, ["y"]], "title": list("pqrs")})
    return read_events(frame, users=users, items=items, context=["page", "weight"], columns={"type": "type"})


def test_by_hand(events):
    described = describe(events)
    assert (described.rows, described.users, described.items, described.pairs) == (6, 2, 3, 4)
    assert described.density == 4 / 6 and described.head == 3 / 6
    assert described.history_lengths.tolist() == [3, 3] and described.popularity.tolist() == [3, 2, 1]
    # a waits 60 s, then 10 days less 60 s; b 30 s, then none.
    assert sorted(described.gaps) == [0, 30, 60, 10 * DAY - 60]
    assert (described.times.min(), described.times.max()) == (FIRST, FIRST + 10 * DAY)
    assert described.types == {"view": 4, "buy": 2} and list(described.types) == ["view", "buy"]
    assert {name: share for name, share in described.missing.items() if share} == {
        "page": pytest.approx(2 / 6), "weight": pytest.approx(1 / 6), "users.age": 0.5, "items.genres": 0.5,
    }  # fmt: skip


def test_the_table(events):
    lines = str(clean(events, min_rating=2, duplicates="last").describe()).splitlines()
    assert lines == [
        "DataFrame: events are ordered by timestamp; 2 share user and timestamp with another, the order of "
        "the rows decides",
        "",
        "events   4",
        "users    2",
        "items    3",
        "density  66.667% of the pairs of a user and an item have an event",
        "head     50.0% of the events are of the most popular 1% of the items",
        "period   2024-01-01 to 2024-01-11 (10 d)",
        "types    view 2 (50.0%), buy 2 (50.0%)",
        "missing  page 50.0%, weight 25.0%, users.age 50.0%, items.genres 50.0%",
        "tables   the table of users has a row for 2 of 2 users",
        "tables   the table of items has a row for 3 of 3 items",
        "removed  min_rating=2: removed 1 events, left 5 events of 2 users and 3 items",
        "removed  duplicates=last: removed 1 events, left 4 events of 2 users and 3 items",
        "",
        "                    min    25%  50%    75%  90%    99%   max",
        "events of a user      2      2    2      2    2      2     2",
        "events of an item     1      1    1    1.5  1.8    2.0     2",
        "gap to the next    30 s  2.5 d  5 d  7.5 d  9 d  9.9 d  10 d",
        "rating              2.5    2.9  3.5      4    4      4     4",
    ]


def test_gaps_of_nanoseconds_are_seconds():
    times = pd.to_datetime([FIRST, FIRST + 0.25, FIRST + DAY], unit="s")
    described = read_events(pd.DataFrame({"user": 1, "item": [1, 2, 3], "timestamp": times})).describe()
    assert described.gaps.tolist() == pytest.approx([0.25, DAY - 0.25])


def test_what_the_data_cannot_tell_is_said_to_be_so(tmp_path):
    described = read_events(pd.DataFrame({"user": [1, 1], "item": [2, 2]})).describe()
    assert described.times is described.gaps is described.ratings is described.types is None
    text = str(described)
    assert "period   no times" in text and "missing  nothing in 2 columns" in text
    assert "gap to the next" not in text and "removed  nothing" in text
    described.draw(tmp_path / "bare.png")
    assert (tmp_path / "bare.png").read_bytes().startswith(b"\x89PNG")


def test_the_sheet(events, tmp_path):
    open_figures = pyplot.get_fignums()
    events.describe().draw(tmp_path / "new" / "sheet.png")
    picture = image.imread(tmp_path / "new" / "sheet.png")
    assert picture.shape[1] > picture.shape[0] > 500 and picture.std() > 0.1
    assert pyplot.get_fignums() == open_figures  # nothing of pyplot's is touched


def test_what_the_plots_of_a_sheet_show():
    absent, few, ranks, *_ = sheet.six_plots("title")[1]
    words = ("Title", "x", "y", "no data")
    sheet.histogram(absent, np.array([np.nan]), words)
    assert [text.get_text() for text in absent.texts] == ["no data"]
    sheet.shares(few, {f"c{n}": n / 20 for n in range(1, 13)}, words)  # the largest of many
    assert [bar.get_width() for bar in few.patches] == [n / 20 for n in range(12, 2, -1)]
    assert few.get_yticklabels()[0].get_text() == "c12" and few.get_title("right") == "and 2 others"
    sheet.rank_frequency(ranks, np.arange(5000, 0, -1), words)
    places, counts = ranks.lines[0].get_data()
    assert len(places) <= 500 and (places[0], places[-1]) == (1, 5000) and (counts == 5001 - places).all()


@pytest.mark.parametrize(
    ("values", "axis", "edges"),
    [
        ([1, 3, 3, 5], "even", [0, 2, 4, 6]),
        ([7.0, 7.0], "even", [6.5, 7.5]),
        (np.arange(81.0), "even", range(0, 81, 2)),
        ([80, 0, 40, 0], "date", range(0, 81, 2)),
        ([0.5], "log", [0.45, 0.55]),
        ([0, 0], "log", range(1, 11)),
        ([1, 2, 2, 4], "log", range(1, 6)),
    ],
)
def test_edges(values, axis, edges):
    assert sheet.bin_edges(np.array(values), axis) == pytest.approx(list(edges))
