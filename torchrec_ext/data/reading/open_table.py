"""Opening a table, whatever its format: which columns it has, and blocks of its rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from torchrec_ext.data.reading.delimited import Layout, delimited_blocks, find_layout
from torchrec_ext.data.reading.json_lines import find_keys, json_blocks
from torchrec_ext.data.reading.raw_block import RawBlock
from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.data.reading.typed_blocks import arrow_blocks, frame_blocks, parquet_blocks
from torchrec_ext.data.sources.declaration import TableFile, TableSource
from torchrec_ext.data.sources.source_file import existing_file, reading
from torchrec_ext.errors import InputError

Format = Literal["csv", "tsv", "criteo", "jsonl", "parquet"]

_SUFFIXES: dict[str, Format] = {
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl",
    ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip
_DELIMITERS = {"csv": ",", "tsv": "\t", "criteo": "\t"}
#: The fields of the Criteo logs of displayed advertisements: clicked or not, counts, hashed categories.
CRITEO = ("label", *(f"I{i}" for i in range(1, 14)), *(f"C{i}" for i in range(1, 27)))


@dataclass(frozen=True)
class OpenTable:
    """A table before any of its rows is read.

    Args:
        name: names it in messages.
        columns: the names of its columns, in order.
        text: whether its values are words, of which some may mean numbers.
        paths: its files, which a table in memory may have been read from.
    """

    name: str
    columns: tuple[str, ...]
    text: bool = False
    paths: tuple[Path, ...] = ()
    _layout: Layout | None = field(default=None, repr=False)
    _memory: pd.DataFrame | pa.Table | None = field(default=None, repr=False, compare=False)
    _json: bool = field(default=False, repr=False)

    @property
    def path(self) -> Path | None:
        """The first of its files."""
        return self.paths[0] if self.paths else None

    def raw_blocks(self, names: Sequence[str], rejects: Rejects, rows: int) -> Iterator[RawBlock]:
        """Blocks of at most ``rows`` rows with these columns as the table holds them.

        Raises:
            InputError: if a file cannot be read.
        """
        if isinstance(self._memory, pd.DataFrame):
            yield from frame_blocks(self._memory, self.name, names, rows)
        elif self._memory is not None:
            yield from arrow_blocks(self._memory, self.name, names, rows)
        for path in () if self._memory is not None else self.paths:
            if self._layout is not None:
                yield from delimited_blocks(path, self._layout, names, rejects, rows)
            elif self._json:
                yield from json_blocks(path, names, rejects, rows)
            else:
                yield from parquet_blocks(path, names, rows)


def open_table(
    source: TableSource,
    *,
    name: str = "the table",
    format: str | None = None,
    delimiter: str | None = None,
    header: bool | Sequence[str] | None = True,
    quote: str | None = '"',
) -> OpenTable:
    r"""Finds out which columns a table has.

    Args:
        source: a DataFrame; an Arrow table; the path of a CSV, TSV or JSON Lines file, which may end in
            ``.gz``; the path of a Parquet file or of a folder of them.
        name: names a table in memory in messages.
        format: ``csv``, ``tsv``, ``jsonl``, ``parquet``, or ``criteo``: tabs, no header, label, I1 to I13,
            C1 to C26. None goes by the suffix.
        delimiter: what stands between the fields of delimited text, if it is not what the format says.
        header: True if the first line of delimited text names its columns; the names if there is no such
            line; None or False calls them "0", "1", ....
        quote: what may stand around a field of delimited text; None if quotes mean nothing there.

    Raises:
        InputError: if the file is missing, empty, of no known format, or cannot be read.

    Example:
        >>> open_table(pa.table({"user": [1], "item": ["a"]})).columns
        ('user', 'item')
    """
    if isinstance(source, pd.DataFrame):
        return OpenTable(name, tuple(map(str, source.columns)), _memory=source)
    if isinstance(source, pa.Table):
        return OpenTable(name, tuple(source.column_names), _memory=source)
    if not isinstance(source, str | Path):
        raise InputError(
            f"{name} should be a DataFrame, an Arrow table or a path, received {type(source).__name__}"
        )
    path = Path(source).expanduser()
    if path.is_dir() and format in (None, "parquet"):
        return _parquet(path, _parquet_files(path))
    path = existing_file(path)
    if format is None:
        format = _format(path, delimiter)
    if format not in get_args(Format):
        raise InputError(f"no format {format!r} for {path}; formats are {', '.join(get_args(Format))}")
    if format == "parquet":
        return _parquet(path, (path,))
    if format == "jsonl":
        return OpenTable(str(path), find_keys(path), paths=(path,), _json=True)
    if format == "criteo":
        header, quote = CRITEO, None
    layout = find_layout(path, delimiter or _DELIMITERS[format], quote, header)
    return OpenTable(str(path), layout.columns, text=True, paths=(path,), _layout=layout)


def open_text(file: TableFile, name: str) -> OpenTable:
    """Opens a table as it is declared."""
    delimiter, header = file.delimiter, file.header
    if delimiter == "::" and header is not True:  # every second field is the nothing between two colons
        delimiter, header = ":", [part for column in header for part in ("", column)][1:]
    return open_table(
        file.source, name=name, format=file.format, delimiter=delimiter, header=header, quote=file.quote
    )


def _format(path: Path, delimiter: str | None) -> str:
    suffix = Path(path.stem).suffix if path.suffix.lower() == ".gz" else path.suffix
    if suffix.lower() in _SUFFIXES:
        return _SUFFIXES[suffix.lower()]
    if delimiter is not None:
        return "csv"
    raise InputError(
        f"the suffix of {path} tells no format; say format= one of {', '.join(map(repr, get_args(Format)))}"
    )


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


def _parquet(name: Path, paths: tuple[Path, ...]) -> OpenTable:
    with reading(paths[0]):
        columns = pa.parquet.read_schema(existing_file(paths[0])).names
    return OpenTable(str(name), tuple(columns), paths=paths)
