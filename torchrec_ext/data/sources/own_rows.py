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
    try:
        parsed = json.loads(found[0]) if found else {}
        if parsed.get("error"):
            reason = one_line(parsed.get("error_message"), 200)
            raise InputError(
                f"the select of {name} cannot be executed: {reason}; write one SELECT ... FROM this"
            )
        for place in _others(parsed, frozenset({b"this"})):
            raise InputError(f"the select of {name} reads from {place!r}, not from this alone")
    except RecursionError:
        raise InputError(f"the select of {name} is nested too deeply; write shorter expressions") from None


def _others(parsed: Any, own: frozenset[bytes]) -> Iterator[str]:
    """The tables and functions that a parsed statement reads, other than ``own`` names and those of WITH."""
    if isinstance(parsed, list):
        for part in parsed:
            yield from _others(part, own)
    elif isinstance(parsed, dict):
        if parsed.get("type") == "BASE_TABLE":
            # FROM a.b is not the name "a.b" of a WITH, though DuckDB would look for a file of that name
            parts = [parsed[part] for part in ("catalog_name", "schema_name", "table_name") if parsed[part]]
            if len(parts) > 1 or _folded(parts[0]) not in own:
                yield ".".join(parts)
        elif parsed.get("type") == "TABLE_FUNCTION" and parsed["function"]["function_name"] not in _PLAIN:
            yield f"{parsed['function']['function_name']}()"
        # a name is known after its own query; within it, only in the repeated part of WITH RECURSIVE
        for entry in parsed.get("cte_map", {}).get("map", ()):
            yield from _others(entry["value"], own)
            own |= {_folded(entry["key"])}
        for key, part in parsed.items():
            repeated = key == "right" and parsed.get("type") == "RECURSIVE_CTE_NODE"
            if key != "cte_map":
                yield from _others(part, own | {_folded(parsed["cte_name"])} if repeated else own)


def _folded(name: str) -> bytes:
    """A name without the case of ASCII letters, which DuckDB ignores."""
    return name.encode().lower()
