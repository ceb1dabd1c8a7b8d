"""The official layouts of MovieLens, in small with made-up content."""

import os
from pathlib import Path

import pytest

from torchrec_ext.data.cleaning.clean import clean
from torchrec_ext.data.reading.read import read_events
from torchrec_ext.errors import InputError

RATINGS = [(9, 3, 4, 881250949), (2, 1, 1, 881250950), (9, 1, 5, 881250950)]


def lay_out_100k(folder):
    """u.item is Latin-1 and flags 19 genres: Action is the second, Western the last."""
    (folder / "u.data").write_text("".join("\t".join(map(str, row)) + "\n" for row in RATINGS))
    (folder / "u.user").write_text("2|24|M|technician|02139\n9|53|F|other|T8H1N\n")
    action_western = ["0", "1", *["0"] * 16, "1"]
    nothing = ["0"] * 19
    lines = [
        ["1", "Señor Gunn (1995)", "01-Jan-1995", "", "http://example.org/1", *action_western],
        ["3", "Plain Day (1996)", "", "", "", *nothing],
    ]
    (folder / "u.item").write_bytes("".join("|".join(line) + "\n" for line in lines).encode("latin-1"))


def lay_out_dat(folder, encoding="latin-1"):
    (folder / "ratings.dat").write_text("".join("::".join(map(str, row)) + "\n" for row in RATINGS))
    (folder / "movies.dat").write_bytes(
        "1::Señor Gunn: Part II (1995)::Action|Children's\n3::Plain Day (1996)::(no genres listed)\n".encode(
            encoding
        )
    )


def lay_out_csv(folder):
    lines = ["userId,movieId,rating,timestamp", *(",".join(map(str, row)) for row in RATINGS)]
    (folder / "ratings.csv").write_text("\n".join(lines) + "\n")
    (folder / "movies.csv").write_text(
        "movieId,title,genres\n"
        '1,"Señor Gunn, The (1995)",Action|Children\'s\n'
        "3,Plain Day (1996),(no genres listed)\n",
        encoding="utf-8",
    )


def check_ratings(events):
    assert events.frame.columns.tolist() == ["user", "item", "timestamp", "rating"]
    assert events.frame[["user", "item", "rating", "timestamp"]].values.tolist() == [
        list(row) for row in RATINGS
    ]
    assert events.frame["user"].dtype == "int64" and events.source.order == "time" and events.source.ties == 0
    assert (events.user_features, events.item_features) == ((), ())


@pytest.mark.parametrize("file", ["", "u.data"])
def test_100k(tmp_path, file):
    lay_out_100k(tmp_path)
    events = read_events(tmp_path / file)
    check_ratings(events)
    assert events.items.to_dict("list") == {
        "item": [1, 3],
        "title": ["Señor Gunn (1995)", "Plain Day (1996)"],
        "genres": [["Action", "Western"], []],
    }
    assert events.users.to_dict("list") == {
        "user": [2, 9], "age": [24, 53], "gender": ["M", "F"], "occupation": ["technician", "other"],
        "zip": ["02139", "T8H1N"],
    }  # fmt: skip
    assert set(events.source.files) == {"u.data", "u.user", "u.item"}


def test_a_fold_of_100k(tmp_path):
    lay_out_100k(tmp_path)
    (tmp_path / "u1.base").write_text("9\t1\t2\t881250949\n")
    events = read_events(tmp_path / "u1.base")
    assert events.frame["item"].tolist() == [1] and events.items is not None
    assert list(events.source.files)[0] == "u1.base"


@pytest.mark.parametrize("file", ["", "ratings.dat"])
def test_1m(tmp_path, file):
    lay_out_dat(tmp_path)
    (tmp_path / "users.dat").write_text("2::F::1::10::48067\n9::M::56::16::70072-1234\n")
    events = read_events(tmp_path / file, format="movielens")
    check_ratings(events)
    assert events.items["title"].tolist() == ["Señor Gunn: Part II (1995)", "Plain Day (1996)"]
    assert events.items["genres"].tolist() == [["Action", "Children's"], []]
    assert events.users.to_dict("list") == {
        "user": [2, 9], "gender": ["F", "M"], "age": [1, 56], "occupation": [10, 16],
        "zip": ["48067", "70072-1234"],
    }  # fmt: skip
    assert events.select_features(item=["genres"]).item_features == ("genres",)


def test_10m_has_half_stars_utf8_and_no_users(tmp_path):
    lay_out_dat(tmp_path, encoding="utf-8")
    (tmp_path / "ratings.dat").write_text("1::1::0.5::838985046\n1::3::5::838983525\n")
    events = read_events(tmp_path)
    assert events.frame["rating"].tolist() == [0.5, 5.0]
    assert events.items["title"][0] == "Señor Gunn: Part II (1995)"
    assert events.users is None


def test_csv_folder(tmp_path):
    lay_out_csv(tmp_path)
    events = read_events(tmp_path)
    check_ratings(events)
    assert events.items["title"].tolist() == ["Señor Gunn, The (1995)", "Plain Day (1996)"]
    assert events.items["genres"].tolist() == [["Action", "Children's"], []]


def test_ratings_csv_alone_is_a_table_and_as_movielens_brings_the_titles(tmp_path):
    lay_out_csv(tmp_path)
    assert read_events(tmp_path / "ratings.csv").items is None
    events = read_events(tmp_path / "ratings.csv", format="movielens")
    check_ratings(events)
    assert events.items is not None


def test_the_side_files_may_be_away(tmp_path):
    lay_out_dat(tmp_path)
    (tmp_path / "movies.dat").unlink()
    events = read_events(tmp_path)
    assert (events.users, events.items) == (None, None)


def test_columns_can_be_left_out(tmp_path):
    lay_out_dat(tmp_path)
    assert read_events(tmp_path, columns={"timestamp": ""}).source.order == "none"


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("ratings.dat", "1::2::3::4\n1::2::3\n", "Expected 7 columns, got 5"),
        ("ratings.dat", "1,2,3,4\n", "is not as MovieLens publishes it"),
        ("ratings.dat", "1::two::3::4\n", "invalid value 'two'"),
        ("ratings.dat", "", "is empty"),
        ("movies.dat", "1::One\n", "line 1 of .*movies.dat has 2 fields between '::', expected 3"),
        ("movies.dat", "one::One::Drama\n", "movies.dat is not as MovieLens publishes it: item"),
        ("ratings.csv", "userId,movieId,rating\n1,2,3\n", "timestamp"),
    ],
)
def test_files_that_are_not_as_published_are_named(tmp_path, file, content, said):
    if file != "ratings.csv":
        lay_out_dat(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=said) as caught:
        read_events(tmp_path)
    assert "\n" not in str(caught.value)


needs_data = pytest.mark.skipif(
    "TORCHREC_EXT_DATA" not in os.environ,
    reason="set TORCHREC_EXT_DATA to the folder that holds ml-100k and ml-1m",
)


@needs_data
def test_the_real_100k():
    events = read_events("ml-100k")
    assert (len(events), events.frame["user"].nunique(), events.frame["item"].nunique()) == (
        100_000,
        943,
        1_682,
    )
    assert len(events.items) == 1_682 and len(events.users) == 943
    assert events.source.order == "time"
    assert events.items["genres"][0] == ["Animation", "Children's", "Comedy"]


@needs_data
def test_the_real_1m():
    events = read_events("ml-1m")
    assert (len(events), events.frame["user"].nunique(), events.frame["item"].nunique()) == (
        1_000_209,
        6_040,
        3_706,
    )
    assert len(events.items) == 3_883 and len(events.users) == 6_040
    assert clean(events, min_item_events=5).source.steps[-1].removed == 598
    # A copy that carries unix seconds starts in the year 2000.
    file = Path(os.environ["TORCHREC_EXT_DATA"], "ml-1m", "ratings.dat")
    first = int(file.read_text().split("\n", 1)[0].rsplit("::", 1)[1])
    assert events.source.order == ("time" if first > 9e8 else "order")
