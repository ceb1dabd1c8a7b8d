"""MovieLens: its layouts (100K, 1M, 10M, CSV files since) as declarations, and downloads."""

import fcntl
import hashlib
import http.client
import re
import shutil
import tempfile
import urllib.request
import zipfile
from pathlib import Path

import duckdb
import pyarrow as pa
from tqdm.auto import tqdm

from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.errors import InputError

HOME = "https://files.grouplens.org/datasets/movielens"
VARIABLE = "TORCHREC_EXT_DATA"
#: Archives to download: the folder in each, its file of events, and the publisher's MD5.
ARCHIVES = {
    "ml-100k": ("ml-100k", "u.data", "0e33842e24a9c977be4e0107933c0723"),
    "ml-1m": ("ml-1m", "ratings.dat", "c4d9eecfca2ab87c1945afe126590906"),
    "ml-10m": ("ml-10M100K", "ratings.dat", "ce571fd55effeba0271552578f2648bd"),
    "ml-20m": ("ml-20m", "ratings.csv", "cd245b17a1ae2cc31bb14903e1204af3"),
    "ml-25m": ("ml-25m", "ratings.csv", "6b51fb2759a8657d3bfcbfc42b592ada"),
}
_LICENCE = (
    "MovieLens is GroupLens' data: for research, not for sale or redistribution without permission; "
    "acknowledge it in publications (Harper and Konstan, The MovieLens Datasets, TiiS 5(4), 2015)."
)
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


def download(name: str, target: Path) -> Path:
    """Downloads a release into a folder, unless another rank of the same run does it meanwhile."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = target.with_name(f".{name}.lock").open("w")
    except OSError as error:
        raise InputError(
            f"{name} is not on this machine and cannot be downloaded into {target.parent} "
            f"({error.strerror}); name a folder that can be written as data_dir (--data-dir)"
        ) from error
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            if not (target / ARCHIVES[name][1]).exists():
                _fetch(name, target)
        finally:
            Path(lock.name).unlink(missing_ok=True)
    return target


def _fetch(name: str, target: Path) -> None:
    """Downloads, checks and unpacks beside the final place, so that what stands there is complete."""
    (folder, first, expected), url = ARCHIVES[name], f"{HOME}/{name}.zip"
    by_hand = (
        f"unpack {url} by hand so that its files lie in {target}, or name the folder that holds {name}/ as "
        f"data_dir (--data-dir) or in {VARIABLE}"
    )
    if target.exists():
        raise InputError(f"{target} exists but has no {first} of {name}; remove it, or {by_hand}")
    print(_LICENCE)
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=target.parent) as scratch:
        archive = Path(scratch, "archive.zip")
        try:
            with urllib.request.urlopen(url, timeout=60) as answer, archive.open("wb") as file:
                total = int(answer.headers.get("Content-Length", 0)) or None
                with tqdm.wrapattr(answer, "read", total=total, desc=name) as body:
                    shutil.copyfileobj(body, file)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            message = f"cannot download {name} from {url} ({reason}); are you offline? {by_hand}"
            raise InputError(message) from error
        md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        if md5 != expected:
            raise InputError(
                f"{url} has MD5 {md5}, expected {expected}: it is cut short or another file; try again, or "
                f"{by_hand}"
            )
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(Path(scratch, "files"))  # never writes outside that folder
        Path(scratch, "files", folder).rename(target)
