"""Delimited text (CSV, TSV) in blocks of words, with the line of each row; broken rows set aside."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv

from torchrec_ext.data.reading.raw_block import RawBlock, one_array
from torchrec_ext.data.reading.rejects import LONGEST_VALUE, UNCLOSED_QUOTE, WRONG_FIELDS, Rejects
from torchrec_ext.data.reading.text_rows import TextRows, split_rows
from torchrec_ext.data.sources.source_file import open_bytes, reading
from torchrec_ext.errors import InputError

_CHUNK = 1 << 23
_LONGEST_ROW = 1 << 24  # bytes; beyond it an open quote counts as one that never closes
_FIRST = 1 << 20


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    Args:
        columns: the names of its fields.
        delimiter: one character.
        quote: one character; None where quotes mean nothing.
        start: the byte, unpacked, at which its first row begins.
        line: the line of that row, from 1.
    """

    columns: tuple[str, ...]
    delimiter: str
    quote: str | None
    start: int
    line: int


def find_layout(path: Path, delimiter: str, quote: str | None, header: bool | Sequence[str] | None) -> Layout:
    """Reads the beginning of a file.

    Args:
        path: an existing file.
        delimiter: one ASCII character.
        quote: one ASCII character, or None.
        header: True if the first line names the columns, their names if there is no such line, None or
            False to call them "0", "1", ....

    Raises:
        InputError: if the file cannot be read, or its first line cannot.
    """
    for what, sign in (("delimiter", delimiter), ("quote", quote)):
        if sign is not None and (len(sign) != 1 or not sign.isascii() or sign in "\r\n"):
            raise InputError(f"the {what} of {path} should be one ASCII character, received {sign!r}")
    if delimiter == quote:
        raise InputError(f"delimiter and quote of {path} are both {quote!r}; give two different ones")
    with reading(path), open_bytes(path) as file:
        data = file.read(_FIRST)
        final = len(data) < _FIRST
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise InputError(f"{path} is UTF-16; convert it to UTF-8 first, with iconv for instance")
    start = len(codecs.BOM_UTF8) if data.startswith(codecs.BOM_UTF8) else 0
    body = data[start:] + (b"\n" if final else b"")
    rows = split_rows(body, delimiter.encode(), quote.encode() if quote else None, final=True)
    written = np.flatnonzero(rows.ends > rows.starts)
    if not len(written):
        if final:
            raise InputError(f"{path} is empty; expected a header and rows")
        raise InputError(f"{path} has no end of a line in its first {_FIRST:,} bytes; expected rows of text")
    first = int(written[0])
    if rows.garbled[first]:
        raise InputError(f"line {first + 1} of {path} opens a quote that it never closes; close or remove it")
    fields = _fields(body[rows.starts[first] : rows.ends[first]], path, delimiter, quote)
    if header is True:
        after = min(int(rows.after[first]), len(data) - start)
        return Layout(tuple(fields), delimiter, quote, start + after, first + 2)
    if header:
        if len(header) != len(fields):
            raise InputError(
                f"{path} has {len(fields)} fields in line {first + 1}, but {len(header)} names are given; "
                "give a name for each, or another separator"
            )
        return Layout(tuple(map(str, header)), delimiter, quote, start, 1)
    return Layout(tuple(map(str, range(len(fields)))), delimiter, quote, start, 1)


def delimited_blocks(
    path: Path, layout: Layout, names: Sequence[str], rejects: Rejects, rows: int
) -> Iterator[RawBlock]:
    """Reads columns of a delimited file as words, block by block.

    Only an empty field is missing. Blank lines are skipped. A row with too few or too many fields, or with
    a quote that never closes, is set aside. Lines are counted from 1, blank ones and the header among
    them; line ends amid quotes are not counted.

    Args:
        path: the file.
        layout: see :func:`find_layout`.
        names: the columns to read.
        rejects: takes the broken rows.
        rows: the most rows of a block.

    Raises:
        InputError: if the file cannot be read, with what may be the matter.
    """
    delimiter, quote = layout.delimiter.encode(), layout.quote.encode() if layout.quote else None
    line, rest, skip = layout.line, b"", layout.start
    with reading(path), open_bytes(path) as file:
        while skip:
            skip -= len(file.read(min(skip, _CHUNK)))
        while True:
            fresh = file.read(_CHUNK)
            final = not fresh
            body, rest = _whole_lines(rest, fresh)
            if not body:
                if final:
                    return
                if len(rest) > _LONGEST_ROW:
                    raise InputError(
                        f"line {line} of {path} is longer than {_LONGEST_ROW:,} bytes; is it delimited text?"
                    )
                continue
            part = _quick(body, layout, names)
            if part is None:
                text = split_rows(body, delimiter, quote, final or len(body) > _LONGEST_ROW)
                part = _careful(body, text, layout, names)
                if part is None:
                    raise InputError(
                        f"cannot tell rows apart from line {line} of {path} on; are its quotes in order?"
                    )
                rest = body[text.used :] + rest
                garbled = np.flatnonzero(text.garbled)
                spans = zip(text.starts[garbled], text.ends[garbled], strict=True)
                shown = [body[s : min(e, s + 4 * LONGEST_VALUE)].decode(errors="replace") for s, e in spans]
                rejects.add(str(path), line + garbled, "", UNCLOSED_QUOTE, shown)
            at = line + np.array([n for n, _ in part.ragged], dtype=np.int64)
            rejects.add(str(path), at, "", WRONG_FIELDS, [words for _, words in part.ragged])
            for first in range(0, part.table.num_rows, rows):
                piece = part.table.slice(first, rows)
                columns = {name: one_array(piece.column(i)) for i, name in enumerate(names)}
                yield RawBlock(str(path), line + part.lines[first : first + rows], columns, part.marker)
            line += part.height


class _Part(NamedTuple):
    table: pa.Table
    lines: np.ndarray  # of the table's rows, from 0
    ragged: list[tuple[int, str]]
    height: int  # of all lines, blank and broken ones among them
    marker: str | None


def _whole_lines(rest: bytes, fresh: bytes) -> tuple[bytes, bytes]:
    """What ends with the end of a line, and what follows it."""
    data = rest + fresh if rest else fresh
    if not fresh:
        return (data if data.endswith(b"\n") else data + b"\n") if data else b"", b""
    cut = data.rfind(b"\n") + 1 or data.rfind(b"\r", 0, len(data) - 1) + 1
    return data[:cut], data[cut:]


def _quick(body: bytes, layout: Layout, names: Sequence[str]) -> _Part | None:
    """Parses a block in which every line is a row; None if it may not be such a block."""
    if body.startswith((b"\n", b"\r")) or b"\n\n" in body:
        return None
    if b"\r" in body and (b"\n\r" in body or body.count(b"\r") != body.count(b"\r\n")):
        return None
    return _parse(body, body.count(b"\n"), layout, names)


def _careful(body: bytes, text: TextRows, layout: Layout, names: Sequence[str]) -> _Part | None:
    """Parses those rows of a block that are neither blank nor garbled."""
    good = (text.ends > text.starts) & ~text.garbled
    lines = np.flatnonzero(good)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]]).astype(np.int8)))
    runs = zip(text.starts[edges[::2]], text.after[edges[1::2] - 1], strict=True)
    part = _parse(b"".join(body[start:after] for start, after in runs), len(lines), layout, names)
    if part is None:
        return None
    ragged = [(int(lines[n]), words) for n, words in part.ragged]
    return _Part(part.table, lines[part.lines], ragged, len(good), part.marker)


def _parse(body: bytes, count: int, layout: Layout, names: Sequence[str]) -> _Part | None:
    """Parses ``count`` rows; None if Arrow sees another number of them."""
    ragged: list[tuple[int, str]] = []
    body, marker = _mend_encoding(body)

    def set_aside(row: pa.csv.InvalidRow) -> str:
        ragged.append((row.number - 1, row.text.replace(marker, "\ufffd") if marker else row.text))
        return "skip"

    # A row of empty fields behind the last: it is not seen as a row if a quote is still open.
    if body.startswith(codecs.BOM_UTF8):
        # Arrow takes one mark of byte order away, at the start of any block.
        body = codecs.BOM_UTF8 + body
    data = body + layout.delimiter.encode() * (len(layout.columns) - 1) + b"\n"
    fields = [str(i) for i in range(len(layout.columns))]
    chosen = [str(layout.columns.index(name)) for name in names]
    table = pa.csv.read_csv(
        pa.BufferReader(data),
        read_options=pa.csv.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=fields),
        parse_options=pa.csv.ParseOptions(
            delimiter=layout.delimiter,
            quote_char=layout.quote or False,
            newlines_in_values=True,
            ignore_empty_lines=False,
            invalid_row_handler=set_aside,
        ),
        convert_options=pa.csv.ConvertOptions(
            check_utf8=False,
            column_types=dict.fromkeys(chosen, pa.string()),
            include_columns=chosen,
            null_values=[""],
            strings_can_be_null=True,
        ),
    )
    if table.num_rows + len(ragged) != count + 1:
        return None
    lines = np.arange(count)
    if ragged:
        lines = np.delete(lines, [n for n, _ in ragged])
    return _Part(table.slice(0, table.num_rows - 1), lines, ragged, count, marker)


def _mend_encoding(body: bytes) -> tuple[bytes, str | None]:
    """UTF-8 in which a character that means nothing stands for each broken one; that character."""
    offsets = np.array([0, len(body)], dtype=np.int64)
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, pa.py_buffer(offsets), pa.py_buffer(body)])
    try:
        whole.cast(pa.large_string())
    except pa.ArrowInvalid:
        marker = next(m for m in map(chr, range(0xFDD0, 0xFDF0)) if m.encode() not in body)
        text = body.decode("utf-8", "surrogateescape")
        return re.sub("[\udc80-\udcff]+", marker, text).encode(), marker
    return body, None


def _fields(row: bytes, path: Path, delimiter: str, quote: str | None) -> list[str]:
    """The fields of one row."""
    try:
        row.decode()
    except UnicodeDecodeError as error:
        raise InputError(
            f"the first line of {path} is no UTF-8, or the file is no text; convert it to UTF-8 first, with "
            "iconv for instance"
        ) from error
    most = row.count(delimiter.encode()) + 1
    table = pa.csv.read_csv(
        pa.BufferReader(row + b"\n"),
        read_options=pa.csv.ReadOptions(
            use_threads=False, block_size=len(row) + 2, autogenerate_column_names=True
        ),
        parse_options=pa.csv.ParseOptions(
            delimiter=delimiter, quote_char=quote or False, newlines_in_values=True
        ),
        # Without types, 007 would become 7.
        convert_options=pa.csv.ConvertOptions(column_types={f"f{i}": pa.string() for i in range(most)}),
    )
    return [column[0].as_py() for column in table.columns]
