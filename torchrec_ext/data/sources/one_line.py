"""Errors of files and of DuckDB in one line, and texts in SQL."""

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from torchrec_ext.errors import InputError


def one_line(text: object, most: int = 200) -> str:
    """Text without line ends and control characters, cut to a length."""
    printable = "".join(c if c.isprintable() else " " for c in str(text)[: 4 * most])
    return " ".join(printable.split())[:most]


@contextmanager
def reading(name: Path | str) -> Iterator[None]:
    """Turns what goes wrong with a table while it is read into one line about it."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, EOFError, zlib.error) as error:
        reason = one_line((str(error).strip().splitlines() or [type(error).__name__])[0])
        raise InputError(f"cannot read {name}, is it cut short or of another format? {reason}") from error


def sql_text(text: object) -> str:
    """A text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
