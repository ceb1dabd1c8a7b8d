"""MovieLens in its official layouts: 100K, 1M, 10M, and the CSV files of 20M, 25M and latest."""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.csv

from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.errors import InputError

_GENRES_100K = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
    "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller",
    "War", "Western",
)  # fmt: skip
_PARTS_100K = re.compile(r"u\.data|u[1-5ab]\.(base|test)")
_EVENT_FILES = ("u.data", "ratings.dat", "ratings.csv")


class MovieLens(NamedTuple):
    """The tables of one MovieLens release.

    Args:
        ratings: columns user, item, rating, timestamp; int64 ids, rows in the order of the file.
        users: columns user, gender, age, occupation, zip; None if the release has none.
        items: columns item, title, genres (lists of words); None if its file is not there.
        files: the files read, that of the ratings first.
    """

    ratings: pd.DataFrame
    users: pd.DataFrame | None
    items: pd.DataFrame | None
    files: list[Path]


def event_file(folder: Path) -> Path | None:
    """The file of ratings in a folder with an official layout; None if it has none."""
    return next((folder / name for name in _EVENT_FILES if (folder / name).is_file()), None)


def is_event_file(path: Path) -> bool:
    """Whether a file's name is one that only MovieLens uses (``ratings.csv`` may be anybody's)."""
    return path.suffix == ".dat" or _PARTS_100K.fullmatch(path.name) is not None


def read_movielens(path: Path) -> MovieLens:
    """Reads a folder with an official layout, or one of its files of ratings and what lies beside it.

    Args:
        path: the folder, or a file: ``u.data`` or a fold such as ``u1.base``, a ``.dat`` file with
            ``::`` between its fields, or ``ratings.csv``.

    Raises:
        InputError: if the folder has no official layout or a file is not as published.
    """
    if path.is_dir():
        found = event_file(path)
        if found is None:
            raise InputError(
                f"{path} has no known layout; expected a folder with one of {', '.join(_EVENT_FILES)}, "
                "or give the path of a CSV, TSV or Parquet file"
            )
        path = found
    existing_file(path)
    if path.suffix == ".csv":
        return _csv(path)
    return _double_colon(path) if path.suffix == ".dat" else _hundred_k(path)


def _hundred_k(path: Path) -> MovieLens:
    ratings = _ratings(path, delimiter="\t", fields=[0, 1, 2, 3])
    users = items = None
    files = [path]
    if (found := path.with_name("u.user")).is_file():
        rows = _split(found, "|", fields=5)
        columns = ("user", "age", "gender", "occupation", "zip")
        users = _integers(pd.DataFrame(rows, columns=columns), found, "user", "age")
        files.append(found)
    if (found := path.with_name("u.item")).is_file():
        rows = _split(found, "|", fields=5 + len(_GENRES_100K))
        items = pd.DataFrame({
            "item": [row[0] for row in rows],
            "title": [row[1] for row in rows],
            "genres": [_flagged(row[5:]) for row in rows],
        })  # fmt: skip
        items = _integers(items, found, "item")
        files.append(found)
    return MovieLens(ratings, users, items, files)


def _double_colon(path: Path) -> MovieLens:
    # Every second field is the nothing between two colons.
    ratings = _ratings(path, delimiter=":", fields=[0, 2, 4, 6])
    users = items = None
    files = [path]
    if (found := path.with_name("users.dat")).is_file():
        rows = _split(found, "::", fields=5)
        columns = ("user", "gender", "age", "occupation", "zip")
        users = _integers(pd.DataFrame(rows, columns=columns), found, "user", "age", "occupation")
        files.append(found)
    if (found := path.with_name("movies.dat")).is_file():
        rows = _split(found, "::", fields=3)
        items = _items([r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows])
        items = _integers(items, found, "item")
        files.append(found)
    return MovieLens(ratings, users, items, files)


def _csv(path: Path) -> MovieLens:
    names = ["userId", "movieId", "rating", "timestamp"]
    types = dict(zip(names, (pa.int64(), pa.int64(), pa.float64(), pa.int64()), strict=True))
    options = pa.csv.ConvertOptions(include_columns=names, column_types=types)
    ratings = _table(path, lambda: pa.csv.read_csv(path, convert_options=options))
    ratings.columns = ["user", "item", "rating", "timestamp"]
    items = None
    files = [path]
    if (found := path.with_name("movies.csv")).is_file():
        options = pa.csv.ConvertOptions(
            column_types={"movieId": pa.int64(), "title": pa.string(), "genres": pa.string()}
        )
        movies = _table(found, lambda: pa.csv.read_csv(found, convert_options=options))
        items = _items(movies["movieId"], movies["title"], movies["genres"])
        files.append(found)
    return MovieLens(ratings, None, items, files)


def _ratings(path: Path, delimiter: str, fields: list[int]) -> pd.DataFrame:
    """A file of user, item, rating and time without a header; ``fields`` are their places in a line."""
    places = [str(i) for i in range(fields[-1] + 1)]
    names = [places[i] for i in fields]
    options = {
        "read_options": pa.csv.ReadOptions(column_names=places),
        "parse_options": pa.csv.ParseOptions(delimiter=delimiter),
        "convert_options": pa.csv.ConvertOptions(
            include_columns=names,
            column_types=dict(zip(names, (pa.int64(), pa.int64(), pa.float64(), pa.int64()), strict=True)),
        ),
    }
    frame = _table(path, lambda: pa.csv.read_csv(path, **options))
    frame.columns = ["user", "item", "rating", "timestamp"]
    return frame


def _table(path: Path, read: Callable[[], pa.Table]) -> pd.DataFrame:
    try:
        return read().to_pandas()
    except (pa.ArrowInvalid, pa.ArrowKeyError) as error:
        raise InputError(
            f"{path} is not as MovieLens publishes it: {str(error).splitlines()[0][:200]}; fetch it again, "
            "or for a file of your own say format='csv' or 'tsv' and name its columns"
        ) from error


def _split(path: Path, separator: str, fields: int) -> list[list[str]]:
    """The fields of each line; the encoding is UTF-8 in newer releases, Latin-1 in older ones."""
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    rows = [line.rstrip("\r").split(separator) for line in text.split("\n") if line]
    for number, row in enumerate(rows, start=1):
        if len(row) != fields:
            raise InputError(
                f"line {number} of {path} has {len(row)} fields between {separator!r}, expected {fields}; "
                "fetch the file again"
            )
    return rows


def _integers(frame: pd.DataFrame, path: Path, *columns: str) -> pd.DataFrame:
    for column in columns:
        try:
            frame[column] = frame[column].astype("int64")
        except ValueError as error:
            raise InputError(f"{path} is not as MovieLens publishes it: {column}: {error}") from error
    return frame


def _flagged(flags: list[str]) -> list[str]:
    return [genre for genre, flag in zip(_GENRES_100K, flags, strict=True) if flag == "1"]


def _items(ids: Iterable, titles: Iterable, genres: Iterable[str]) -> pd.DataFrame:
    lists = [[] if text in ("", "(no genres listed)") else text.split("|") for text in genres]
    return pd.DataFrame({"item": ids, "title": titles, "genres": lists})
