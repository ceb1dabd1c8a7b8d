"""Text files for DuckDB: delimited rows or one value a line, and which line of the file a row stands in."""

import codecs
import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np

from torchrec_ext.data.sources.column_sql import sql_text
from torchrec_ext.data.sources.declaration import TableFile
from torchrec_ext.data.sources.source_file import one_line
from torchrec_ext.errors import InputError

_BUFFER = 1 << 23
_UNUSED = "\x1f"  # stands for a delimiter of several characters, which Python's csv does not know


@dataclass(frozen=True)
class TextFile:
    """A text file as DuckDB reads it, every value as text.

    Messages name ``path``; ``readable`` is it, or a copy in UTF-8 with one kind of line ends. ``skip`` lines
    stand before the first row, and lines of white space are no rows if ``spaces``.
    """

    path: Path
    readable: Path
    columns: tuple[str, ...]
    delimiter: str
    quote: str | None
    skip: int = 0
    spaces: bool = False

    def sql(self) -> str:
        """The scan, with columns c0, c1, ...; broken lines are left out and stored."""
        quote = sql_text(self.quote or "")
        columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(self.columns)))
        packed = "gzip" if self.readable.suffix.lower() == ".gz" else "none"
        scan = (
            f"read_csv({sql_text(self.readable)}, auto_detect=false, header=false, skip={self.skip}, "
            f"delim={sql_text(self.delimiter)}, quote={quote}, escape={quote}, columns={{{columns}}}, "
            f"nullstr='', compression='{packed}', strict_mode={not self.spaces}, "
            f"buffer_size={_BUFFER}, store_rejects=true)"
        )
        if self.spaces:
            return f"(FROM {scan} WHERE starts_with(c0, '{{') OR trim(c0, ' \t\r') != '')"  # quick first
        # a blank line is a row of a file of one column, but not of others
        return f"(FROM {scan} WHERE c0 IS NOT NULL)" if len(self.columns) == 1 else scan

    def lines(self, rows: np.ndarray, broken: Sequence[int]) -> np.ndarray:
        """The lines of (n,) rows that ascend, which DuckDB numbers from 1 without ``broken`` lines."""
        single, blank = len(self.columns) == 1, list[int]()
        ends = (b"\n\n", b"\n\r", b"\r\r")
        if single or any(end in b"\n" + block for block in _blocks(self.readable) for end in ends):
            empty, strip = ("", '""') if single else ("",), " \t\r\n" if self.spaces else "\r\n"
            blank = [n for n, lines in self._records() if "".join(lines).strip(strip) in empty]
        others = np.unique(np.array([*range(1, self.skip + 1), *broken, *blank], np.int64))
        return rows + np.searchsorted(others - np.arange(len(others)), rows, side="right")

    def expect_closed(self, broken: Sequence[int]) -> None:
        """Refuses a file if one of these lines goes on into the next: its rows cannot be told apart."""
        for number, lines in self._records():
            if number in broken and len(lines) > 1:
                shown = one_line(lines[0], 60)
                raise InputError(
                    f"line {number} of {self.path} opens a quote that it does not close: {shown!r}; mend it, "
                    "or set quote=None if quotes are ordinary characters"
                )

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Each line as DuckDB counts them, from 1: several are one, where a quote is open at their ends."""
        for number, (_, lines) in enumerate(_rows(self.readable, self.delimiter, self.quote), 1):
            yield number, lines


def open_delimited(path: Path, delimiter: str, table: TableFile, scratch: Path) -> TextFile:
    """Reads the first line of an existing file; a copy may be made in ``scratch``."""
    readable = readable_copy(path, table.encoding, scratch, table.quote, delimiter)
    blank, first = 0, list[str]()
    try:
        for blank, (first, _) in enumerate(_rows(readable, delimiter, table.quote, strict=True)):  # noqa: B007
            if first:
                break
    except (csv.Error, TypeError) as error:
        raise InputError(
            f"cannot read the first line of {path} ({one_line(error)}); if it opens a quote that it never "
            "closes, set quote=None"
        ) from error
    if not first:
        raise InputError(f"{path} is empty; expected a header and rows")
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
    return TextFile(path, readable, names, delimiter, table.quote, skip)


def readable_copy(
    path: Path, encoding: str, scratch: Path, quote: str | None = None, delimiter: str | None = None
) -> Path:
    """The file itself if DuckDB can read it, else a copy of it in UTF-8 with one kind of line ends.

    The lines of a file without a delimiter may have ends of several kinds.
    """
    with open_bytes(path) as file:
        start = file.read(2)
    if encoding == "utf-8" and start in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        raise InputError(f"{path} is UTF-16; set encoding='utf-16'")
    pattern = set("*?[{") & set(str(path))  # DuckDB would look for files that match it
    if encoding == "utf-8" and not pattern and not (delimiter and _has_mixed_ends(path)):
        return path
    copy = scratch / f"{len(list(scratch.iterdir()))}.txt"
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    try:
        with copy.open("w", encoding="utf-8", errors=errors, newline="") as out:
            for _, lines in _rows(path, delimiter or "\x01", quote, encoding, errors):
                out.write("".join(lines).rstrip("\r\n") + "\n")
    except UnicodeError as error:
        raise InputError(f"{path} is not {encoding} ({one_line(error)}); set another encoding=") from error
    return copy


def _rows(
    path: Path, delimiter: str, quote: str | None, encoding: str = "utf-8-sig", errors: str = "replace",
    strict: bool = False,
) -> Iterator[tuple[list[str], list[str]]]:  # fmt: skip
    """The fields of each row of a file, and the lines that it stands in."""
    lines: list[str] = []
    mark = delimiter if len(delimiter) == 1 else _UNUSED
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
    spaces = quote is not None and mark != " "

    def each(file: io.TextIOWrapper) -> Iterator[str]:
        for line in file:
            lines.append(line)
            yield line.replace(delimiter, mark).replace("\0", " ")

    limit = csv.field_size_limit(2**31 - 1)
    try:
        with io.TextIOWrapper(open_bytes(path), encoding, errors, newline="") as file:
            for fields in csv.reader(
                each(file), delimiter=mark, quotechar=quote, quoting=quoting, skipinitialspace=spaces,
                strict=strict,
            ):  # fmt: skip
                yield fields, lines.copy()
                lines.clear()
    finally:
        csv.field_size_limit(limit)


def open_bytes(path: Path) -> BinaryIO:
    """The bytes of a file; those of one that ends in ``.gz`` are unpacked on the way."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix.lower() == ".gz" else path.open("rb")


def _blocks(path: Path) -> Iterator[bytes]:
    """The bytes of a file in blocks that end with a line, unless lines are long."""
    with open_bytes(path) as file:
        while block := file.read(1 << 20):
            yield block + file.readline(1 << 20)


def _has_mixed_ends(path: Path) -> bool:
    """Whether the lines of a file end in several ways, which DuckDB refuses beside quotes."""
    pairs = returns = feeds = False
    for block in _blocks(path):
        rest = block.replace(b"\r\n", b"") if b"\r" in block else block  # which is quick to see
        pairs, returns, feeds = pairs or rest != block, returns or b"\r" in rest, feeds or b"\n" in rest
    return pairs + returns + feeds > 1
