"""Scan: a table as DuckDB reads it, be it a file, a folder, or a table in memory."""

import os
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import NamedTuple, get_args

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from torchrec_ext.data.sources.column_spec import ColumnSpec
from torchrec_ext.data.sources.declaration import Format, TableFile
from torchrec_ext.data.sources.histories import read_histories
from torchrec_ext.data.sources.memory_table import as_table, from_pandas, json_object, numpy_file, plain
from torchrec_ext.data.sources.one_line import one_line, reading, sql_name, sql_text
from torchrec_ext.data.sources.rejects import Rejects
from torchrec_ext.data.sources.source_file import existing_file
from torchrec_ext.data.sources.text_file import TextFile, open_delimited, readable_copy
from torchrec_ext.data.sources.value_sql import SqlValue
from torchrec_ext.errors import InputError, nearest

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
TEXT, JSON, NULL = "VARCHAR", "JSON", '"NULL"'


@dataclass(frozen=True)
class Scan:
    """A table before its rows are read.

    Args:
        name: names it in messages.
        source: the table in SQL.
        columns: the names of its columns, in order, and of each its SQL.
        types: DuckDB's type of each column; ``JSON`` if each value has a type of its own.
        paths: its files.
        text: whether its values are text, of which some may mean numbers.
        decimal: mark of numbers in text.
        file: the text file, whose lines are counted.
        broken: conditions in SQL of rows that are broken as a whole, with the reason.
        frame: whether it is a DataFrame.
    """

    name: str
    source: str
    columns: tuple[tuple[str, str], ...]
    types: tuple[str, ...]
    paths: tuple[Path, ...] = ()
    text: bool = False
    decimal: str = "."
    file: TextFile | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    frame: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(name for name, _ in self.columns)

    def where(self, spec: ColumnSpec) -> str:
        """Names one of its columns in messages."""
        return f"column {spec.source!r} of {self.name}"

    def value(self, name: str) -> SqlValue:
        """A column of it in SQL; InputError if it is not there, or not once."""
        if self.names.count(name) > 1:
            raise InputError(f"{self.name} has the column {name!r} more than once; rename one")
        if name not in self.names:
            hint, there = nearest(name, self.names), ", ".join(self.names)
            raise InputError(f"{self.name} has no column {name!r}{hint}; it has {there}")
        place = self.names.index(name)
        return SqlValue(self.columns[place][1], self.types[place], self.decimal)


class Session(NamedTuple):
    """One read: its connection, a folder for copies and for what DuckDB spills, and the bad rows."""

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    rejects: Rejects


@contextmanager
def open_session(folder: Path | None) -> Iterator[Session]:
    """A connection for one read; with a folder it spills there, and makes do with 512 MB.

    Raises:
        InputError: if the folder cannot be written.
    """
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix=".duckdb-", dir=folder)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}; name an empty folder") from error
    with scratch as place, closing(duckdb.connect() if folder is not None else _cursor()) as connection:
        connection.execute("SET TimeZone='UTC'")
        if folder is not None:
            connection.execute(f"SET temp_directory={sql_text(place)}; SET memory_limit='512MB'")
        yield Session(connection, Path(place), Rejects())


def _cursor() -> duckdb.DuckDBPyConnection:
    """A connection to the database that small reads of this process share, as opening one takes a while."""
    try:
        found = _database(os.getpid()).cursor()
        found.execute("SELECT 1")
    except duckdb.Error:  # an internal error closes a database for good
        _database.cache_clear()
        found = _database(os.getpid()).cursor()
    return found


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    found = duckdb.connect()
    found.execute(f"SET temp_directory={sql_text(Path(gettempdir(), f'duckdb-{process}'))}")
    return found


def open_scan(session: Session, table: TableFile, name: str) -> Scan:
    """Finds out which columns a table has.

    Args:
        session: of this read.
        table: whose source is a DataFrame, an Arrow table, whatever hands out an Arrow stream (Polars, a
            DuckDB relation, a reader of record batches), or the path of a file or a folder of Parquet files.
        name: names a table in memory in messages.

    Raises:
        InputError: if the file is missing, empty, of no known format, or cannot be read.
    """
    source = table.source
    if isinstance(source, str | Path):
        return _open_path(session, table, Path(source).expanduser())
    if isinstance(source, pd.DataFrame):
        found = [from_pandas(source.iloc[:, i], name) for i in range(source.shape[1])]
        return replace(_in_memory(session, name, [str(name) for name in source.columns], found), frame=True)
    if not hasattr(source, "__arrow_c_stream__"):
        raise InputError(
            f"{name} should be a DataFrame, an Arrow table or a path, received {type(source).__name__}"
        )
    return _from_arrow(session, name, as_table(source))


def _open_path(session: Session, table: TableFile, path: Path) -> Scan:
    format = table.format
    if path.is_dir() and format in (None, "parquet"):
        return _parquet(session, path, _parquet_files(path))
    path = existing_file(path)
    if format is None and path.suffix in (".npy", ".json"):
        held = numpy_file(path) if path.suffix == ".npy" else json_object(path)
        return _from_arrow(session, str(path), held, path)
    format = format or _format(path, table.delimiter)
    if format == "parquet":
        return _parquet(session, path, (path,))
    if format == "histories":
        return _from_arrow(session, str(path), read_histories(path, table.encoding), path)
    if format == "jsonl":
        return _json_lines(session, path, readable_copy(path, table.encoding, session.scratch))
    text = open_delimited(path, table.delimiter or ("\t" if format == "tsv" else ","), table, session.scratch)
    columns = tuple((column, f"c{i}") for i, column in enumerate(text.columns))
    types = (TEXT,) * len(columns)
    return Scan(str(path), text.sql(), columns, types, (path,), True, table.decimal, text)


def _format(path: Path, delimiter: str | None) -> Format:
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if suffix.lower() in _SUFFIXES:
        return _SUFFIXES[suffix.lower()]
    if delimiter is not None:
        return "csv"
    raise InputError(
        f"the suffix of {path} names no format; set delimiter=, or format= to one of "
        f"{', '.join(map(repr, get_args(Format)))}"
    )


def _json_lines(session: Session, path: Path, readable: Path) -> Scan:
    """One object a line; a key that an object lacks is missing there."""
    text = TextFile(path, readable, ("line",), "\x01\x02\x03\x04", None, spaces=True)
    parsed = f"(SELECT c0, CASE WHEN json_valid(c0) THEN json_type(c0) END AS shape FROM {text.sql()})"
    first = f"(SELECT *, row_number() OVER () AS r FROM {parsed} LIMIT 10000)"
    with reading(path):
        keys = session.connection.execute(
            f"SELECT k FROM (SELECT unnest(json_keys(c0)) AS k, r FROM {first} WHERE shape = 'OBJECT') "
            "GROUP BY k ORDER BY min(r), min(k)"
        ).fetchall()
        if not keys:
            found = session.connection.execute(f"SELECT c0 FROM {parsed} LIMIT 1").fetchone()
            raise InputError(
                f"{path} holds no JSON object in its first 10,000 lines, the first is "
                f"{one_line(found[0], 60) if found else ''!r}; expected one object a line, in UTF-8"
            )
    names = tuple(key for (key,) in keys)
    escaped = [name.replace("~", "~0").replace("/", "~1") for name in names]
    paths = ", ".join(sql_text(f"/{name}") for name in escaped)
    source = f"(SELECT *, CASE WHEN shape = 'OBJECT' THEN json_extract(c0, [{paths}]) END AS v FROM {parsed})"
    columns = tuple(
        (name, f"CASE WHEN json_type(v[{i}]) != 'NULL' THEN v[{i}] END") for i, name in enumerate(names, 1)
    )
    broken = {"shape IS NULL": "not valid JSON", "shape != 'OBJECT'": "not a JSON object"}
    return Scan(str(path), source, columns, (JSON,) * len(names), (path,), file=text, broken=broken)


def _parquet_files(folder: Path) -> tuple[Path, ...]:
    """All Parquet files of a folder, in the order of their names; those that start with _ or . are marks."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in (".parquet", ".pq")
        and path.is_file()
        and not any(part.startswith(("_", ".")) for part in path.relative_to(folder).parts)
    )
    if not files:
        raise InputError(f"{folder} is a folder without Parquet files; give the file in it")
    return tuple(files)


def _parquet(session: Session, name: Path, paths: tuple[Path, ...]) -> Scan:
    for path in paths:
        existing_file(path)
    files = ", ".join(map(sql_text, paths))
    # folders such as day=2 are a column, if all files are in one
    parts = {tuple(p.partition("=")[0] for p in path.relative_to(name).parts if "=" in p) for path in paths}
    source = (
        f"read_parquet([{files}], union_by_name=true, hive_partitioning={len(parts) == 1 and parts != {()}})"
    )
    with reading(name if len(paths) > 1 else paths[0]):
        found = session.connection.execute(f"DESCRIBE FROM {source}").fetchall()
    columns = tuple((column, sql_name(column)) for column, *_ in found)
    return Scan(str(name), source, columns, tuple(kind for _, kind, *_ in found), paths)


def expect_in_each_file(scan: Scan, names: list[str]) -> None:
    """Refuses a folder of which a file lacks one of these columns."""
    for path in scan.paths if len(scan.paths) > 1 else ():
        with reading(path):
            there = pa.parquet.read_schema(path).names
        parts = [part.partition("=")[0] for part in path.parts if "=" in part]
        lacking = [name for name in names if name not in (*there, *parts)]
        if lacking:
            raise InputError(
                f"{path} has no column {lacking[0]!r}; it has {', '.join(there)}: the files of a folder must "
                "share their columns"
            )


def _from_arrow(session: Session, name: str, table: pa.Table, path: Path | None = None) -> Scan:
    found = _in_memory(session, name, table.column_names, [(plain(c), False) for c in table.columns])
    return found if path is None else replace(found, paths=(path,), text=path.suffix != ".npy")


def _in_memory(
    session: Session, name: str, names: list[str], columns: list[tuple[pa.Array | pa.ChunkedArray, bool]]
) -> Scan:
    """Columns, and of each whether it is JSON."""
    # numbered names: those of DuckDB ignore case
    table = pa.table({f"c{i}": column for i, (column, _) in enumerate(columns)})
    view = f"memory_{id(table)}"
    with reading(name):
        session.connection.register(view, table)
        found = session.connection.execute(f"DESCRIBE FROM {view}").fetchall() if columns else []
    placed, types = [], []
    for i, ((column, mixed), (_, kind, *_)) in enumerate(zip(columns, found, strict=True)):
        placed.append((names[i], f"CAST(c{i} AS JSON)" if mixed else f"c{i}"))
        types.append(JSON if mixed else NULL if pa.types.is_null(column.type) else kind)
    return Scan(name, view, tuple(placed), tuple(types))
