"""Reads a table in one pass of SQL: batches of its good rows; every other row is rejected."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from torchrec_ext.data.sources import rejects as reasons
from torchrec_ext.data.sources.column_sql import column_sql, sql_text, undeclared_vector
from torchrec_ext.data.sources.declaration import ColumnSpec
from torchrec_ext.data.sources.infer_kind import infer
from torchrec_ext.data.sources.rejects import LONGEST_VALUE
from torchrec_ext.data.sources.scan import Scan, Session, expect_in_each_file
from torchrec_ext.data.sources.source_file import reading
from torchrec_ext.errors import InputError

_ROWS = 1 << 19
_BROKEN = {
    "UNQUOTED VALUE": reasons.UNCLOSED_QUOTE, "LINE SIZE OVER MAXIMUM": reasons.LONG_LINE,
    "INVALID ENCODING": reasons.BROKEN_ENCODING,
}  # fmt: skip


class Reading(NamedTuple):
    """A table of which it is known how each column is read; ``undeclared`` names those that were ``auto``.

    ``inner`` is the SELECT of their values x0, x1, ... and of further values m0, m1, ..., of which the
    ``outputs`` are fetched; ``bad`` holds condition, column, reason and text to show of each way to be bad.
    """

    scan: Scan
    specs: list[ColumnSpec]
    undeclared: set[str]
    inner: str
    outputs: list[str]
    bad: list[tuple[str, str, str, str]]


def plan(
    session: Session, scan: Scan, specs: Sequence[ColumnSpec], itemless: Sequence[str] | None
) -> Reading:
    """Finds out how the columns of a table, named as we do, are read.

    ``itemless`` are the types of events that need no item; it is None if no row needs one.
    """
    scan = scan.of([spec.source for spec in specs]) if scan.of is not None else scan
    found = [scan.value(spec.source) for spec in specs]
    expect_in_each_file(scan, [spec.source for spec in specs])
    known = infer(session, scan, specs, found)
    undeclared = {spec.name for spec in specs if spec.kind == "auto"}
    values = ["shape", "c0"] if scan.broken else []
    bad = [(condition, "", reason, "c0") for condition, reason in scan.broken.items()]
    outputs = {}
    for n, (spec, value) in enumerate(zip(known, found, strict=True)):
        values += [f"{value.v} AS v{n}", f"{value.shape} AS t{n}"]
        value = value._replace(v=f"v{n}", shape=f"t{n}")
        if spec.kind == "vector" and spec.name in undeclared:
            sql = undeclared_vector(value, spec.width or 1)
        else:
            sql = column_sql(spec, value, f"x{n}", scan.where(spec))
            if spec.kind == "number" and spec.name in undeclared:  # floats as they are
                sql.bad.clear()
        outputs[f"x{n}"] = sql.value
        if sql.more is not None:
            outputs[f"m{n}"] = sql.more
        shown = value.text if value.family in ("json", "bytes") else f"CAST(v{n} AS VARCHAR)"
        bad += [(condition, spec.source, reason, shown) for condition, reason in sql.bad]
    if itemless is not None:
        bad.append(_without_item(known, itemless))
    named = ", ".join(f"{sql} AS {name}" for name, sql in outputs.items())
    values += _places(scan)
    select = f"SELECT *, {named} FROM (SELECT {', '.join(values)} FROM {scan.source})"
    return Reading(scan, known, undeclared, select, [*outputs], bad)


def read_batches(session: Session, table: Reading) -> Iterator[pa.RecordBatch]:
    """The good rows of a table, about half a million at a time; the others are rejected at the end."""
    rows, before, room = 0, session.rejects.total, session.rejects.room
    aside, counts = [], Counter[str]()
    with reading(table.scan.name):
        # what samples have left
        session.connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
        for batch in _batches(session.connection.sql(_query(table))):
            found = batch.column("reject").to_numpy()
            if found.any():
                bad = np.flatnonzero(found)
                codes, first, times = np.unique(found[bad], return_index=True, return_counts=True)
                for code, count in zip(codes, times, strict=True):
                    counts[table.bad[code - 1][2]] += int(count)
                # at least one row of each reason
                kept = bad[np.union1d(np.arange(min(room, len(bad))), first)]
                room = max(room - len(kept), 0)
                some = pa.Table.from_batches([batch]).take(pa.array(kept)).drop_columns(table.outputs)
                aside.append(some.append_column("row", pa.array(rows + kept + 1)))
                batch = batch.filter(pa.array(found == 0))
            rows += len(found)
            yield batch.select(table.outputs)
        broken = _reject_broken_lines(session, table.scan)
        if aside:
            _reject_rows(session, table, pa.concat_tables(aside), counts, broken)
    if not rows and session.rejects.total == before:
        raise InputError(f"{table.scan.name} has no rows; expected one row an event, user or item")


def _query(table: Reading) -> str:
    """The outputs of each row, the number of the first way in which it is bad, and what shows that."""
    cases = [f"WHEN {condition} THEN {n}" for n, (condition, *_) in enumerate(table.bad, 1)]
    texts = [f"WHEN {n} THEN {text}" for n, (*_, text) in enumerate(table.bad, 1)]
    code = f"CASE {' '.join(cases)} ELSE 0 END" if cases else "0"
    text = f"CAST(CASE reject {' '.join(texts)} END AS VARCHAR)" if texts else "''"
    beside = [f"CASE WHEN reject > 0 THEN left({text}, {LONGEST_VALUE}) END AS value"]
    beside += [f"CASE WHEN reject > 0 THEN {name} END AS {name}" for name in _places(table.scan)]
    return (
        f"SELECT {', '.join([*table.outputs, 'reject', *beside])} "
        f"FROM (SELECT *, CAST({code} AS USMALLINT) AS reject FROM ({table.inner}))"
    )


def _places(scan: Scan) -> list[str]:
    """The columns in which DuckDB itself says where a row stands."""
    return ["filename", "file_row_number"] if scan.source.startswith("read_parquet") else []


def _batches(query: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    """A result in large batches, since each is merged into the dictionaries so far."""
    named = "to_arrow_reader" if hasattr(query, "to_arrow_reader") else "fetch_arrow_reader"  # before 1.5
    pending: list[pa.RecordBatch] = []
    for batch in getattr(query, named)(_ROWS):
        pending.append(batch)
        if sum(batch.num_rows for batch in pending) >= _ROWS:
            yield from pa.Table.from_batches(pending).combine_chunks().to_batches()
            pending.clear()
    yield from pa.Table.from_batches(pending).combine_chunks().to_batches() if pending else ()


def _without_item(specs: Sequence[ColumnSpec], itemless: Sequence[str]) -> tuple[str, str, str, str]:
    """A row without an item is bad, unless its type needs none."""
    by_name = {spec.name: n for n, spec in enumerate(specs)}
    lacks = f"x{by_name['item']} IS NULL" if "item" in by_name else "true"
    if "type" in by_name and itemless:
        lacks += f" AND (x{by_name['type']} IN ({', '.join(map(sql_text, itemless))})) IS NOT TRUE"
    source = specs[by_name["item"]].source if "item" in by_name else "item"
    return lacks, source, reasons.MISSING_ID, "NULL"


def _reject_rows(
    session: Session, table: Reading, rows: pa.Table, counts: Counter[str], broken: Sequence[int]
) -> None:
    """Rejects rows, of which ``row`` is the number among those that DuckDB read, from 1."""
    scan, lines, files = table.scan, rows["row"].to_numpy(), [table.scan.name] * len(rows)
    if _places(scan):
        files, lines = rows["filename"], rows["file_row_number"].to_numpy() + 1
    elif scan.file is not None and not scan.selected:
        lines = scan.file.lines(lines, broken)
    _, columns, why, _ = zip(*(table.bad[code - 1] for code in rows["reject"].to_pylist()), strict=True)
    found = {"file": files, "line": lines, "column": columns, "reason": why, "value": rows["value"]}
    session.rejects.add(found, counts)


def _reject_broken_lines(session: Session, scan: Scan) -> list[int]:
    """Rejects the lines that DuckDB could not read, and returns their numbers."""
    if scan.file is None:
        return []
    found = session.connection.sql(
        "SELECT DISTINCT ON (line) line::BIGINT AS line, error_type::VARCHAR AS error, "
        f"left(csv_line, {LONGEST_VALUE}) AS value FROM reject_errors ORDER BY line"
    ).to_arrow_table()
    lines, errors = found["line"].to_pylist(), found["error"].to_pylist()
    long = ("UNQUOTED VALUE", "LINE SIZE OVER MAXIMUM")
    if unclosed := [line for line, error in zip(lines, errors, strict=True) if error in long]:
        scan.file.expect_closed(unclosed)
    why = [_BROKEN.get(error, reasons.NO_JSON if scan.broken else reasons.WRONG_FIELDS) for error in errors]
    columns = {
        "file": [scan.name] * len(lines), "line": lines, "column": [""] * len(lines), "reason": why,
        "value": [text.strip("\r\n") for text in found["value"].to_pylist()],
    }  # fmt: skip
    session.rejects.add(columns, Counter(why))
    return lines
