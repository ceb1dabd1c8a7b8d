"""Keeps the SELECT of a declaration to the rows of its own table; a file from outside may hold it."""

import json
from collections.abc import Iterator
from typing import Any

import duckdb

from torchrec_ext.data.sources.source_file import one_line
from torchrec_ext.errors import InputError

_PLAIN = ("unnest", "range", "generate_series")
"""Functions that make rows of nothing but their arguments."""


def expect_own_rows(connection: duckdb.DuckDBPyConnection, name: str, select: str) -> None:
    """Refuses SQL that reads or writes anything but the table ``this``.

    DuckDB would execute what stands behind a closing parenthesis, such as a COPY to any file, and reads files
    and addresses that stand where a table does.

    Args:
        connection: for its parser.
        name: of the table, for the message.
        select: one SELECT.

    Raises:
        InputError: if it is something else than one SELECT, or reads from elsewhere.

    Example:
        >>> expect_own_rows(duckdb.connect(), "events.csv", "SELECT * FROM 'private.csv'")
        Traceback (most recent call last):
        torchrec_ext.errors.InputError: the select of events.csv reads from 'private.csv', not from this alone
    """
    text = select.strip().rstrip(";")
    found = connection.execute("SELECT json_serialize_sql(CAST(? AS VARCHAR))", [text]).fetchone()
    parsed = json.loads(found[0]) if found else {}
    if parsed.get("error"):
        reason = one_line(parsed.get("error_message"), 200)
        raise InputError(f"the select of {name} cannot be executed: {reason}; write one SELECT ... FROM this")
    for place in _places(parsed):
        if place not in ("this", *(f"{function}()" for function in _PLAIN)):
            raise InputError(f"the select of {name} reads from {place!r}, not from this alone")


def _places(parsed: Any) -> Iterator[str]:
    """The tables that a parsed statement reads, and the functions in the place of one."""
    if isinstance(parsed, list):
        for part in parsed:
            yield from _places(part)
    elif isinstance(parsed, dict):
        if parsed.get("type") == "BASE_TABLE":
            parts = (parsed.get(f"{part}_name") for part in ("catalog", "schema", "table"))
            yield ".".join(filter(None, parts))
        elif parsed.get("type") == "TABLE_FUNCTION":
            yield f"{parsed['function']['function_name']}()"
        for part in parsed.values():
            yield from _places(part)
