"""A table of named columns in a file (CSV, TSV, Parquet) or in memory, of which some columns are read."""

import difflib
import gzip
import hashlib
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from torchrec_ext.errors import InputError

Format = Literal["csv", "tsv", "parquet"]
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_DELIMITERS = {"csv": ",", "tsv": "\t"}


@dataclass(frozen=True)
class RawTable:
    """A table before any of its columns is read.

    Args:
        name: names it in messages.
        columns: the names of its columns, in order.
        text: whether its ids are words of a text file, of which some may mean integers.
        path: its file; None for a table in memory.
        format: of its file.
        frame: the table in memory.
    """

    name: str
    columns: tuple[str, ...]
    text: bool = False
    path: Path | None = None
    format: Format = "csv"
    frame: pd.DataFrame | None = None

    def load(self, names: Sequence[str], ids: Sequence[str]) -> pd.DataFrame:
        """Reads these columns; the index counts the rows from 0.

        Args:
            names: the columns to read.
            ids: those among them that hold ids: their values are never changed on the way.

        Raises:
            InputError: if the file cannot be read, has no rows, or has a column of that name twice.
        """
        for name in names:
            if self.columns.count(name) > 1:
                raise InputError(f"{self.name} has the column {name!r} more than once; rename one")
        if self.frame is not None:
            frame = self.frame.loc[:, list(names)].reset_index(drop=True)
        else:
            assert self.path is not None
            with _reading(self.path):
                table = _load(self.path, self.format, list(names), ids)
            frame = table.drop_columns(list(ids)).to_pandas(date_as_object=False, ignore_metadata=True)
            for name in ids:
                # Else integers beside missing values come as floats, and large ones lose digits.
                frame[name] = table[name].to_pandas(integer_object_nulls=True)
            frame = frame[list(names)]
        if not len(frame):
            raise InputError(f"{self.name} has no rows; expected one row an event, user or item")
        return frame

    def sha256(self) -> str:
        """Checksum of the file's bytes."""
        assert self.path is not None
        return sha256(self.path)


def open_table(source: pd.DataFrame | str | Path, *, name: str, format: str | None = None) -> RawTable:
    """Finds out which columns a table has.

    Args:
        source: a DataFrame, or the path of a CSV, TSV or Parquet file; the first two may end in ``.gz``.
        name: names a DataFrame in messages.
        format: ``csv``, ``tsv`` or ``parquet``; None goes by the suffix.

    Raises:
        InputError: if the file is missing, empty, of no known format, or cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        return RawTable(name, tuple(map(str, source.columns)), frame=source.rename(columns=str))
    path = existing_file(Path(source))
    if format is None:
        suffix = Path(path.stem).suffix if path.suffix == ".gz" else path.suffix
        if suffix.lower() not in _SUFFIXES:
            raise InputError(
                f"the suffix of {path} tells no format; say format='csv', 'tsv', 'parquet' or 'movielens'"
            )
        format = _SUFFIXES[suffix.lower()]
    if format not in ("csv", "tsv", "parquet"):
        raise InputError(f"no format {format!r}; formats are csv, tsv, parquet and movielens")
    with _reading(path):
        if format == "parquet":
            columns = pa.parquet.read_schema(path).names
        else:
            columns = pa.csv.open_csv(path, parse_options=_parsing(format)).schema.names
    return RawTable(str(path), tuple(columns), text=format != "parquet", path=path, format=format)  # type: ignore[arg-type]


def existing_file(path: Path) -> Path:
    """The path itself, if it is a file with something in it; InputError otherwise."""
    if path.is_dir():
        raise InputError(f"{path} is a folder; give the file in it")
    if not path.exists():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, beside, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else "check the path"
        raise InputError(f"no file {path}; {hint}")
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty; expected a header and rows")
    return path


def sha256(path: Path) -> str:
    """Checksum of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _load(path: Path, format: Format, names: list[str], ids: Sequence[str]) -> pa.Table:
    if format == "parquet":
        return pa.parquet.read_table(path, columns=names)
    # Ids as words: 007 is not 7. Only an empty field is a missing value: NA may be somebody's id.
    options = pa.csv.ConvertOptions(
        include_columns=names,
        column_types={name: pa.dictionary(pa.int32(), pa.string()) for name in ids},
        null_values=[""],
        strings_can_be_null=True,
    )
    return pa.csv.read_csv(path, parse_options=_parsing(format), convert_options=options)


def _parsing(format: str) -> pa.csv.ParseOptions:
    return pa.csv.ParseOptions(delimiter=_DELIMITERS[format], newlines_in_values=True)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowKeyError, OSError, EOFError, gzip.BadGzipFile, zlib.error) as error:
        reason = str(error).splitlines()[0][:200]
        if "UTF8" in reason:
            reason += "; convert it to UTF-8 first, with iconv for instance"
        raise InputError(f"cannot read {path}, is it cut short or of another format? {reason}") from error
