"""MovieLens in its official layouts, as declarations: 100K, 1M, 10M, and the CSV files of later releases."""

import re
from pathlib import Path

import duckdb
import pyarrow as pa

from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.errors import InputError

_RATINGS = ("user", "item", "rating", "timestamp")
_DAT = ("::", "users.dat", ("user", "gender", "age", "occupation", "zip"), "movies.dat")
_100K = ("\t", "u.user", ("user", "age", "gender", "occupation", "zip"), "u.item")
#: As a string of SQL: the genres of 100K in the order of their flags.
_GENRES_100K = (
    "unknown|Action|Adventure|Animation|Children''s|Comedy|Crime|Documentary|Drama|Fantasy|Film-Noir|Horror|"
    "Musical|Mystery|Romance|Sci-Fi|Thriller|War|Western"
)


def is_event_file(path: Path) -> bool:
    """Whether only MovieLens calls a file so (``ratings.csv`` may be anybody's)."""
    return path.suffix == ".dat" or re.fullmatch(r"u\.data|u[1-5ab]\.(base|test)", path.name) is not None


def declare_movielens(name: str, path: Path) -> Declaration:
    """The declaration of a release, by its folder or its file of ratings, and of the side files it has."""
    if path.is_dir():
        files = [path / file for file in ("u.data", "ratings.dat", "ratings.csv")]
        found = next((file for file in files if file.is_file()), None)
        if found is None:
            names = ", ".join(file.name for file in files)
            raise InputError(
                f"{path} has no known layout; give a Parquet folder, a file, or a folder with {names}"
            )
        path = found
    users: list[TableFile] = []
    if path.suffix == ".csv":
        columns = {"user": "userId", "item": "movieId", "rating": "rating", "timestamp": "timestamp"}
        ratings, movies = TableFile(path, columns), path.with_name("movies.csv")
    else:
        mark, file, header, beside = _DAT if path.suffix == ".dat" else _100K
        ratings, movies = _text(path, mark, _RATINGS), path.with_name(beside)
        if path.with_name(file).is_file():
            users = [_text(path.with_name(file), "|" if mark == "\t" else mark, header)]
    items = [TableFile(_read_movies(movies))] if movies.is_file() else []
    return Declaration(name, [ratings], users, items, files=[movies] if items else [])


def _text(path: Path, delimiter: str, header: tuple[str, ...]) -> TableFile:
    columns = {"zip": {"kind": "category"}} if "zip" in header else {}
    return TableFile(path, columns, format="csv", delimiter=delimiter, header=header, quote=None)


def _read_movies(path: Path) -> pa.Table:
    """Movies with lists of genres, which are flags in 100K and text with vertical bars in later releases."""
    fields, mark, quote = {".csv": (3, ",", '"'), ".item": (24, "|", "")}.get(path.suffix, (3, "::", ""))
    columns = [f"c{i}" for i in range(fields)]
    genres = "[g FOR g IN string_split(coalesce(c2, ''), '|') IF g NOT IN ('', '(no genres listed)')]"
    if path.suffix == ".item":
        flags = ", ".join(columns[5:])
        genres = f"[g FOR g, i IN string_split('{_GENRES_100K}', '|') IF [{flags}][i] = '1']"
    query = (
        f"SELECT c0::BIGINT AS item, c1 AS title, {genres} AS genres FROM read_csv($path, delim = '{mark}', "
        f"quote = '{quote}', escape = '{quote}', columns = {dict.fromkeys(columns, 'VARCHAR')}, "
        f"header = {path.suffix == '.csv'}, auto_detect = false, encoding = $encoding)"
    )
    for encoding in ("utf-8", "latin-1"):  # of newer and of older releases
        try:
            with duckdb.connect() as connection:
                values = {"path": str(path), "encoding": encoding}
                return connection.sql(query, params=values).to_arrow_table()
        except duckdb.Error as error:
            reason = " ".join(str(error).partition("Possible")[0].split())[:200]
    raise InputError(f"{path} is not as MovieLens publishes it: {reason}; fetch it again")
