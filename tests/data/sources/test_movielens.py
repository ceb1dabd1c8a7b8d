"""The official layouts of MovieLens, in small with made-up content."""

import pytest

from tests.data.sources.tables import refused, write
from torchrec_ext.data.sources.read import read_events

RATINGS = [(9, 3, 4, 881250949), (2, 1, 1, 881250950), (9, 1, 5, 881250950)]
SENOR = "Señor Gunn: Part II, The (1995)"


def lay_out(folder, layout, encoding="latin-1"):
    """A folder of two movies; u.item flags 19 genres, of which Action is the second and Western the last."""
    mark, name, header, file, movies = {
        "100k": ("\t", "u.data", "", "u.item", f"1|{{}}|1995||url|0|1{'|0' * 16}|1\n3|Day|||{'|0' * 19}\n"),
        "dat": ("::", "ratings.dat", "", "movies.dat", "1::{}::Action|Western\n3::Day::(no genres listed)\n"),
        "csv": (",", "ratings.csv", "userId,movieId,rating,timestamp\n", "movies.csv",
                'movieId,title,genres\n1,"{}",Action|Western\n3,Day,(no genres listed)\n'),
    }[layout]  # fmt: skip
    (folder / name).write_text(header + "".join(mark.join(map(str, row)) + "\n" for row in RATINGS))
    (folder / file).write_bytes(movies.format(SENOR).encode("utf-8" if layout == "csv" else encoding))


USERS = {
    "100k": ("u.user", "2|24|M|technician|02139\n9|53|F|other|T8H1N\n", {
        "user": [2, 9], "age": [24, 53], "gender": ["M", "F"], "occupation": ["technician", "other"],
        "zip": ["02139", "T8H1N"],
    }),
    "dat": ("users.dat", "2::F::1::10::48067\n9::M::56::16::70072-1234\n", {
        "user": [2, 9], "gender": ["F", "M"], "age": [1, 56], "occupation": [10, 16],
        "zip": ["48067", "70072-1234"],
    }),
}  # fmt: skip


@pytest.mark.parametrize(
    ("layout", "file"),
    [("100k", ""), ("100k", "u.data"), ("100k", "u1.base"), ("dat", ""), ("dat", "ratings.dat"), ("csv", ""),
     ("csv", "ratings.csv")],
)  # fmt: skip
def test_a_folder_and_its_file_of_ratings(tmp_path, layout, file):
    lay_out(tmp_path, layout)
    name, users, expected = USERS.get(layout, ("", "", None))
    if users:
        write(tmp_path / name, users)
    if file == "u1.base":  # a fold
        (tmp_path / "u.data").rename(tmp_path / file)
    events = read_events(tmp_path / file, format="movielens" if layout != "100k" and file else None)
    assert events.frame.columns.tolist() == ["user", "item", "timestamp", "rating"]
    order = ["user", "item", "rating", "timestamp"]
    assert events.frame[order].values.tolist() == [list(row) for row in RATINGS]
    assert events.frame["user"].dtype == "int64" and events.source.order == "time" and events.source.ties == 0
    assert (events.user_features, events.item_features) == ((), ())
    assert events.select_features(item=["genres"]).item_features == ("genres",)
    assert events.items.to_dict("list") == {
        "item": [1, 3], "title": [SENOR, "Day"], "genres": [["Action", "Western"], []],
    }  # fmt: skip
    assert (None if events.users is None else events.users.to_dict("list")) == expected


def test_10m_has_half_stars_and_utf8_and_side_files_may_be_away(tmp_path):
    lay_out(tmp_path, "dat", encoding="utf-8")
    write(tmp_path / "ratings.dat", "1::1::0.5::838985046\n1::3::5::838983525\n")
    events = read_events(tmp_path)
    assert events.frame["rating"].tolist() == [0.5, 5.0] and events.items["title"][0] == SENOR
    assert events.users is None
    (tmp_path / "movies.dat").unlink()
    events = read_events(tmp_path, columns={"timestamp": ""})
    assert (events.users, events.items, events.source.order) == (None, None, "none")


def test_a_file_with_settings_of_its_own_or_of_an_ordinary_name_is_a_table(tmp_path):
    lay_out(tmp_path, "csv")
    assert read_events(tmp_path / "ratings.csv").items is None
    lay_out(tmp_path, "dat")
    events = read_events(tmp_path / "ratings.dat", delimiter="::", header=["user", "item", "stars", "time"])
    assert events.frame["rating"].tolist() == [4, 1, 5] and events.items is None


@pytest.mark.parametrize(
    ("file", "content", "expected"),
    [
        ("ratings.dat", "1::2::3::4\n1::2::3\n", "(25.00%), more than 1.00%"),
        ("ratings.dat", "1,2,3,4\n", "ratings.dat"),
        ("ratings.dat", "", "is empty"),
        ("movies.dat", "1::One\n", "movies.dat is not as MovieLens publishes it: "),
        ("movies.dat", "one::One::Drama\n", "movies.dat is not as MovieLens publishes it: "),
        ("ratings.csv", "userId,movieId,rating\n1,2,3\n", "has no column 'timestamp'"),
    ],
)
def test_files_that_are_not_as_published_are_named(tmp_path, file, content, expected):
    if file != "ratings.csv":
        lay_out(tmp_path, "dat")
    write(tmp_path / file, content)
    message = refused(tmp_path)
    assert expected in message and str(tmp_path) in message
