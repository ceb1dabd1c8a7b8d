"""Files of a known layout: MovieLens' in small with made-up content, and those of a line a user."""

import pytest

from tests.data.sources.tables import refused, rows, write
from torchrec_ext.data.sources.read import read_events

RATINGS = [(9, 3, 4, 881250949), (2, 1, 1, 881250950), (9, 1, 5, 881250950)]
SENOR = "Señor Gunn: Part II, The (1995)"

#: Of each layout the delimiter, the files of ratings and movies, the first lines of both, and two movies;
#: u.item flags 19 genres, of which Action is the second and Western the last.
LAYOUTS = {
    "100k": ("\t", "u.data", "u.item", "", "", f"1|{{}}|1995||url|0|1{'|0' * 16}|1\n3|Day|||{'|0' * 19}\n"),
    "dat": ("::", "ratings.dat", "movies.dat", "", "", "1::{}::Action|Western\n3::Day::(no genres listed)\n"),
    "csv": (",", "ratings.csv", "movies.csv", "userId,movieId,rating,timestamp\n", "movieId,title,genres\n",
            '1,"{}",Action|Western\n3,Day,(no genres listed)\n'),
}  # fmt: skip
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


def lay_out(folder, layout, encoding="latin-1", ratings=RATINGS):
    mark, name, file, header, of_movies, movies = LAYOUTS[layout]
    write(folder / name, header + "".join(mark.join(map(str, row)) + "\n" for row in ratings))
    write(folder / file, (of_movies + movies.format(SENOR)).encode(encoding))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("by_file", [False, True])
def test_a_folder_and_its_file_of_ratings(tmp_path, layout, by_file):
    lay_out(tmp_path, layout, "utf-8" if layout == "csv" else "latin-1")
    name, users, expected = USERS.get(layout, ("", "", None))
    if users:
        write(tmp_path / name, users)
    file = LAYOUTS[layout][1] if by_file else ""
    if file == "u.data":  # a fold
        file = (tmp_path / file).rename(tmp_path / "u1.base").name
    events = read_events(tmp_path / file, format="movielens" if by_file and layout != "100k" else None)
    frame = events.frame[["user", "item", "rating", "timestamp"]]
    assert [*frame.itertuples(index=False, name=None)] == RATINGS and frame["user"].dtype == "int64"
    assert (events.source.order, events.source.ties) == ("time", 0)
    assert (events.user_features, events.item_features) == ((), ())
    assert events.items.to_dict("list") == {
        "item": [1, 3], "title": [SENOR, "Day"], "genres": [["Action", "Western"], []],
    }  # fmt: skip
    assert (None if events.users is None else events.users.to_dict("list")) == expected


def test_10m_has_half_stars_and_utf8_and_side_files_may_be_away(tmp_path):
    lay_out(tmp_path, "dat", "utf-8", [(1, 1, 0.5, 838985046), (1, 3, 5, 838983525)])
    events = read_events(tmp_path)
    assert events.frame["rating"].tolist() == [0.5, 5.0] and events.items["title"][0] == SENOR
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
        ("ratings.dat", "", "is empty"),
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


@pytest.mark.parametrize("name", ["h.txt", "h.txt.gz"])
def test_the_user_then_items_in_their_order(tmp_path, name):
    """Lines of one user are joined if they follow each other; ids stay as given."""
    path = write(tmp_path / name, "\ufeffann 007 12 5\r\nann 12\n\n  bob\t3\n")
    events = read_events(path, format="histories")
    assert [tuple(row.values()) for row in rows(events)] == [
        ("ann", "007", 0), ("ann", "12", 1), ("ann", "5", 2), ("ann", "12", 3), ("bob", "3", 0),
    ]  # fmt: skip
    assert events.source.order == "order" and list(events.source.files) == [name]


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"1 7 9\n2 7\n1 8\n", "several lines of one user"),
        (b"1 7\n1 8\n2 7\n", "format='csv', delimiter=' '"),  # pairs
        (b"\n1 2\n\n3\n", "line 4 of {path} holds a user and no item"),
        (b" \n\n", "{path} holds blank lines alone"),
        (b"", "{path} is empty"),
        (b"1 \xe9", "{path} is not UTF-8"),
    ],
)
def test_what_is_none_is_refused(tmp_path, raw, said):
    path = write(tmp_path / "h.txt", raw)
    assert said.format(path=path) in refused(path, format="histories")
    assert "no file" in refused(tmp_path / "no.txt", format="histories")
