"""Scan: a table as DuckDB reads it, be it a file, a folder, or a table in memory."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
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

from torchrec_ext.data.sources.column_sql import SqlValue, sql_name, sql_text
from torchrec_ext.data.sources.declaration import ColumnSpec, Format, TableFile
from torchrec_ext.data.sources.memory_table import from_pandas, json_object, numpy_file, plain, read_histories
from torchrec_ext.data.sources.own_rows import expect_own_rows
from torchrec_ext.data.sources.rejects import NO_JSON, NO_OBJECT, Rejects
from torchrec_ext.data.sources.source_file import existing_file, one_line, reading
from torchrec_ext.data.sources.text_file import TextFile, open_delimited, readable_copy
from torchrec_ext.errors import InputError

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


@dataclass(frozen=True)
class Scan:
    """A table before its rows are read: in SQL, with the names and values of its columns and its files.

    ``text`` says that its values are text, of which some may mean numbers; ``file`` is the text file whose
    lines are counted; ``broken`` holds conditions in SQL of rows that are broken as a whole, with the reason;
    ``of`` makes the same scan of fewer columns where each takes time; ``selected`` says that its rows are not
    those of the file.
    """

    name: str
    source: str
    columns: Sequence[tuple[str, SqlValue]]
    paths: tuple[Path, ...] = ()
    text: bool = False
    file: TextFile | None = None
    broken: Mapping[str, str] = field(default_factory=dict)
    frame: bool = False
    of: Callable[[Sequence[str]], "Scan"] | None = None
    selected: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns."""
        return tuple(name for name, _ in self.columns)

    def where(self, spec: ColumnSpec) -> str:
        """Names one of its columns in messages."""
        return f"column {spec.source!r} of {self.name}"

    def value(self, name: str) -> SqlValue:
        """One of its columns in SQL; InputError if two are called so."""
        if self.names.count(name) > 1:
            raise InputError(f"{self.name} has the column {name!r} more than once; rename one")
        return self.columns[self.names.index(name)][1]


class Session(NamedTuple):
    """One read: its connection, a folder for copies and for what DuckDB spills, and the bad rows."""

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    rejects: Rejects


@contextmanager
def open_session(folder: Path | None) -> Iterator[Session]:
    """A connection for one read; with a folder it spills there, and makes do with 512 MB."""
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        scratch = TemporaryDirectory(prefix=".duckdb-", dir=folder)
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}; name an empty folder") from error
    with scratch as place, closing(_connect() if folder is not None else _cursor()) as connection:
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


def _connect() -> duckdb.DuckDBPyConnection:
    """A database in memory that downloads no code: what reading needs is built in."""
    return duckdb.connect(config={"autoinstall_known_extensions": False})


@cache
def _database(process: int) -> duckdb.DuckDBPyConnection:
    found = _connect()
    found.execute(f"SET temp_directory={sql_text(Path(gettempdir(), f'duckdb-{process}'))}")
    return found


def open_scan(session: Session, table: TableFile, name: str) -> Scan:
    """Finds out which columns a table has, which messages call ``name`` if it is in memory."""
    found = _open_source(session, table, name)
    return found if table.select is None else _selected(session, found, table.select)


def _selected(session: Session, scan: Scan, select: str) -> Scan:
    """The rows that a SELECT makes of those of a scan."""
    expect_own_rows(session.connection, scan.name, select)
    these = ", ".join(f"{scan.value(name).v} AS {sql_name(name)}" for name in scan.names)
    # in brackets, as it may begin with a WITH, and a line of their end, as it may end with a comment
    wanted = f"SELECT * FROM ({select.strip().rstrip(';')}\n)"
    source = f"(WITH this AS (SELECT {these} FROM {scan.source}) {wanted})"
    try:
        found = session.connection.execute(f"DESCRIBE FROM {source}").fetchall()
    except duckdb.Error as error:
        raise InputError(f"the select of {scan.name} cannot be executed: {one_line(error, 200)}") from None
    columns = [(column, SqlValue(sql_name(column), kind)) for column, kind, *_ in found]
    return Scan(scan.name, source, columns, scan.paths, text=scan.text, file=scan.file, selected=True)


def _open_source(session: Session, table: TableFile, name: str) -> Scan:
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
    table = source if isinstance(source, pa.Table) else pa.RecordBatchReader.from_stream(source).read_all()
    return _from_arrow(session, name, table)


def _open_path(session: Session, table: TableFile, path: Path) -> Scan:
    format = table.format
    if path.is_dir() and format in (None, "parquet"):
        return _parquet(session, path)
    path = existing_file(path)
    if format is None and path.suffix in (".npy", ".json"):
        held = numpy_file(path) if path.suffix == ".npy" else json_object(path)
        return _from_arrow(session, str(path), held, path)
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    format = format or _SUFFIXES.get(suffix.lower()) or ("csv" if table.delimiter else None)
    if format is None:
        raise InputError(
            f"the suffix of {path} names no format; set delimiter=, or format= to one of "
            f"{', '.join(map(repr, get_args(Format)))}"
        )
    if format == "parquet":
        return _parquet(session, path)
    if format == "histories":
        return _from_arrow(session, str(path), read_histories(path, table.encoding), path)
    if format == "jsonl":
        return _json_lines(session, path, readable_copy(path, table.encoding, session.scratch))
    text = open_delimited(path, table.delimiter or ("\t" if format == "tsv" else ","), table, session.scratch)
    columns = [(column, SqlValue(f"c{i}", "VARCHAR", table.decimal)) for i, column in enumerate(text.columns)]
    return Scan(str(path), text.sql(), columns, (path,), text=True, file=text)


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

    def of(keys: Sequence[str]) -> Scan:
        paths = ", ".join(sql_text("/" + key.replace("~", "~0").replace("/", "~1")) for key in keys)
        types = f"CASE WHEN json_valid(c0) THEN json_type(c0, ['$', {paths}]) END"
        texts = f"CASE WHEN t[1] = 'OBJECT' THEN json_extract_string(c0, [{paths}]) END"
        typed = f"(SELECT c0, {types} AS t FROM {text.sql()})"
        source = f"(SELECT c0, t, t[1] AS shape, {texts} AS v FROM {typed})"
        columns = [(k, SqlValue(f"v[{i}]", "JSON", shape=f"t[{i + 1}]")) for i, k in enumerate(keys, 1)]
        broken = {"shape IS NULL": NO_JSON, "shape != 'OBJECT'": NO_OBJECT}
        return Scan(str(path), source, columns, (path,), file=text, broken=broken, of=of)

    return of([key for (key,) in keys])


def _parquet(session: Session, name: Path) -> Scan:
    """A file, or all in a folder in the order of their names; those that start with _ or . are marks."""
    paths = [name]
    if name.is_dir():
        inside = sorted(path.relative_to(name) for path in name.rglob("*") if path.is_file())
        seen = [path for path in inside if not any(part.startswith(("_", ".")) for part in path.parts)]
        paths = [name / path for path in seen if path.suffix.lower() in (".parquet", ".pq")]
        if not paths:
            raise InputError(f"{name} is a folder without Parquet files; give the file in it")
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
    columns = [(column, SqlValue(sql_name(column), kind)) for column, kind, *_ in found]
    return Scan(str(name), source, columns, tuple(paths))


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
    with reading(name):
        table.validate(full=True)  # DuckDB trusts that text is UTF-8
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
    values = []
    for i, ((column, mixed), (_, kind, *_)) in enumerate(zip(columns, found, strict=True)):
        kind = '"NULL"' if pa.types.is_null(column.type) else kind
        json = SqlValue(f"(CAST(c{i} AS JSON)->>'$')", "JSON", shape=f"json_type(c{i})")
        values.append(json if mixed else SqlValue(f"c{i}", kind))
    return Scan(name, view, list(zip(names, values, strict=True)))
