"""Text files for DuckDB: delimited rows or one value a line, and which line of the file a row stands in."""

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchrec_ext.data.sources.declaration import TableFile
from torchrec_ext.data.sources.one_line import one_line, reading, sql_text
from torchrec_ext.data.sources.source_file import open_bytes
from torchrec_ext.errors import InputError

_BUFFER = 1 << 23
_UNUSED = "\x1f"
"""Stands for a delimiter of several characters, which Python's csv does not know."""


@dataclass(frozen=True)
class TextFile:
    """A text file as DuckDB reads it, every value as text.

    Args:
        path: the file, as messages name it.
        readable: the file itself, or a copy in UTF-8 with one kind of line ends.
        columns: the names of its fields.
        delimiter: between fields, 1 to 4 bytes.
        quote: around fields; None if quotes are ordinary characters.
        skip: lines before the first row, without blank ones within the rows.
        blank: whether lines of white space are no rows.
        underscores: whether there may be underscores behind the first line.
    """

    path: Path
    readable: Path
    columns: tuple[str, ...]
    delimiter: str
    quote: str | None
    skip: int = 0
    blank: bool = False
    underscores: bool = True

    def sql(self, rejects: bool) -> str:
        """The scan, with columns c0, c1, ...; broken lines are left out and perhaps stored."""
        quote = sql_text(self.quote or "")
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(self.columns)))
        packed = "gzip" if self.readable.suffix.lower() == ".gz" else "none"
        scan = (
            f"read_csv({sql_text(self.readable)}, auto_detect=false, header=false, skip={self.skip}, "
            f"delim={sql_text(self.delimiter)}, quote={quote}, escape={quote}, columns={{{columns}}}, "
            f"nullstr='', compression='{packed}', strict_mode={self.quote is not None}, "
            f"buffer_size={_BUFFER}, "
            f"{'store_rejects' if rejects else 'ignore_errors'}=true)"
        )
        if self.blank:
            return f"(FROM {scan} WHERE trim(c0, ' \t\r') != '')"
        # a blank line is a row of a file of one column, but not of others
        return f"(FROM {scan} WHERE c0 IS NOT NULL)" if len(self.columns) == 1 else scan

    def lines(self, rows: np.ndarray, broken: Sequence[int]) -> np.ndarray:
        """The lines of rows, from 1.

        Args:
            rows: (n,) int64 numbers of rows among those DuckDB reads, from 1, ascending.
            broken: the lines DuckDB rejected.
        """
        other = [*range(1, self.skip + 1), *broken, *self._lines_without_rows()]
        others = np.unique(np.array(other, np.int64))
        return rows + np.searchsorted(others - np.arange(len(others)), rows, side="right")

    def expect_closed(self, lines: Sequence[int]) -> None:
        """Refuses a file if one of these broken lines goes on into the next: its rows cannot be told apart.

        Raises:
            InputError: with the first such line.
        """
        wanted, opened = set(lines), ""
        for number, first, line in self._lines():
            opened = line if first else opened
            if number in wanted and not first:
                raise InputError(
                    f"line {number} of {self.path} opens a quote that it does not close: "
                    f"{one_line(opened, 60)!r}; mend it, or set quote=None if quotes are ordinary characters"
                )

    def _lines_without_rows(self) -> list[int]:
        single = len(self.columns) == 1
        if not single and not _has_blank_lines(self.readable):
            return []
        empty, strip = ("", '""') if single else ("",), " \t\r\n" if self.blank else "\r\n"
        return [number for number, first, line in self._lines() if first and line.strip(strip) in empty]

    def _lines(self) -> Iterator[tuple[int, bool, str]]:
        """Each line: its number as DuckDB counts, whether no quote is open before it, its text."""
        number, inside = 0, False
        with reading(self.path), open_text(self.readable) as file:
            for line in file:
                number += not inside
                yield number, not inside, line
                inside = _ends_inside(line, inside, self.quote, self.delimiter)


def _ends_inside(line: str, inside: bool, quote: str | None, delimiter: str) -> bool:
    """Whether a quoted field is still open at the end of a line, given whether one is at its start."""
    if not quote or quote not in line:
        return inside
    mark, between = re.escape(quote), re.escape(delimiter)
    opening, at = re.compile(rf"(?:^|{between}) *{mark}"), 0
    closing = re.compile(rf"(?:[^{mark}]|{mark}{mark})*{mark}(?!{mark})")
    while True:
        if not inside:
            opened = opening.search(line, at)
            if opened is None:
                return False
            at = opened.end()
        closed = closing.match(line, at)
        if closed is None:
            return True
        at, inside = closed.end(), False


def open_delimited(path: Path, delimiter: str, table: TableFile, scratch: Path) -> TextFile:
    """Reads the first line of a delimited file.

    Args:
        path: an existing file.
        delimiter: between its fields.
        table: its declaration, of which header, quote and encoding matter.
        scratch: where a copy may be made.

    Raises:
        InputError: if the file cannot be read, or its first line cannot.
    """
    readable, underscores = readable_copy(path, table.encoding, scratch, table.quote, delimiter)
    mark = delimiter if len(delimiter) == 1 else _UNUSED
    blank, first = 0, list[str]()
    with reading(path), open_text(readable) as file:
        rows = csv.reader(
            (line.replace(delimiter, mark) for line in file),
            delimiter=mark,
            quotechar=table.quote,
            quoting=csv.QUOTE_MINIMAL if table.quote else csv.QUOTE_NONE,
            skipinitialspace=table.quote is not None,
            strict=True,
        )
        try:
            while not first:
                first = next(rows)
                blank += not first
        except StopIteration:
            raise InputError(f"{path} is empty; expected a header and rows") from None
        except (csv.Error, TypeError) as error:
            raise InputError(
                f"cannot read the first line of {path} ({one_line(error)}); if it opens a quote that it "
                "never closes, set quote=None"
            ) from error
    if any("\ufffd" in name for name in first):
        raise InputError(f"the first line of {path} is not UTF-8; set encoding=, such as encoding='latin-1'")
    if table.header is True:
        names, skip = tuple(name.strip() for name in first), blank + 1
    else:
        names, skip = tuple(table.header), 0
    if len(names) != len(first):
        raise InputError(
            f"{path} has {len(first)} fields in line {blank + 1}, but header= gives {len(names)} names; "
            "name each, or set another delimiter="
        )
    return TextFile(path, readable, names, delimiter, table.quote, skip, underscores=underscores)


def readable_copy(
    path: Path, encoding: str, scratch: Path, quote: str | None = None, delimiter: str = ""
) -> tuple[Path, bool]:
    """The file itself if DuckDB can read it, else a copy of it in UTF-8 with one kind of line ends.

    Returns:
        The file, and whether there may be underscores behind its first line.

    Raises:
        InputError: if the file is of another encoding.
    """
    with reading(path), open_bytes(path) as file:
        start = file.read(2)
    if encoding == "utf-8" and start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise InputError(f"{path} is UTF-16; set encoding='utf-16'")
    mixed, underscores = _holds(path) if encoding == "utf-8" else (True, True)
    pattern = bool(set("*?[{") & set(str(path)))  # DuckDB would look for files that match it
    if encoding == "utf-8" and not pattern and not (quote and mixed):
        return path, underscores
    copy, inside = scratch / f"{len(list(scratch.iterdir()))}.txt", False
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    try:
        with (
            reading(path),
            io.TextIOWrapper(open_bytes(path), encoding, errors, newline="") as file,
            copy.open("w", encoding="utf-8", errors=errors, newline="") as out,
        ):
            for line in file:
                inside = _ends_inside(line, inside, quote, delimiter)
                out.write(line if inside else line.rstrip("\r\n") + "\n")
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding} ({one_line(error)}); set another encoding=") from error
    return copy, underscores


def _holds(path: Path) -> tuple[bool, bool]:
    """Whether the lines of a file end in several ways; whether underscores are behind the first of them."""
    returns = feeds = both = 0
    last, underscores = b"", False
    with reading(path), open_bytes(path) as file:
        while block := file.read(1 << 20):
            if b"\r" in block or last == b"\r":
                returns += block.count(b"\r")
                both += block.count(b"\r\n") + (last == b"\r" and block[:1] == b"\n")
            feeds += block.count(b"\n") if returns else 1
            underscores = underscores or block.find(b"_", 0 if last else block.find(b"\n") + 1) >= 0
            last = block[-1:]
    return returns > 0 and not (returns == feeds == both or feeds == 0), underscores


def _has_blank_lines(path: Path) -> bool:
    """Whether two line ends may follow each other."""
    last = b"\n"
    with reading(path), open_bytes(path) as file:
        while block := file.read(1 << 20):
            if any(ends in last + block for ends in (b"\n\n", b"\n\r", b"\r\r")):
                return True
            last = block[-1:]
    return False


def open_text(path: Path) -> io.TextIOWrapper:
    """The text of a file in UTF-8, broken characters replaced."""
    return io.TextIOWrapper(open_bytes(path), "utf-8-sig", "replace")
