"""Reads a table in one pass of SQL: batches of its good rows; every other row is rejected."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from torchrec_ext.data.sources import rejects as reasons
from torchrec_ext.data.sources.column_spec import ColumnSpec
from torchrec_ext.data.sources.column_sql import column_sql, undeclared_vector
from torchrec_ext.data.sources.infer_kind import inferred
from torchrec_ext.data.sources.one_line import reading, sql_text
from torchrec_ext.data.sources.rejects import LONGEST_VALUE, SCHEMA
from torchrec_ext.data.sources.scan import Scan, Session, expect_in_each_file
from torchrec_ext.data.sources.value_sql import family, text_of
from torchrec_ext.errors import InputError, nearest

_ROWS = 1 << 21
_MORE = " /* more */"
"""Where further columns of the source go."""
_BROKEN = {
    "UNQUOTED VALUE": reasons.UNCLOSED_QUOTE, "LINE SIZE OVER MAXIMUM": reasons.LONG_LINE,
    "INVALID ENCODING": reasons.BROKEN_ENCODING,
}  # fmt: skip


class Reading(NamedTuple):
    """A table of which it is known how each column is read.

    Args:
        scan: the table.
        specs: its columns, none of them of the kind ``auto``.
        undeclared: the names of those that were.
        inner: the SELECT of their values x0, x1, ... and of further values m0, m1, ....
        outputs: the columns of ``inner`` to fetch.
        bad: condition, column, reason and text to show, in SQL, of each way in which a row is bad.
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
    """Finds out how the columns of a table are read.

    Args:
        session: of this read.
        scan: the table.
        specs: the columns, by our names.
        itemless: the types of events that need no item; None if no row needs one.

    Raises:
        InputError: if a column is not there, or not once, or does not hold what it should.
    """
    known: list[ColumnSpec] = []
    inner, outputs, more, values = [], [], [], ["shape", "c0"] if scan.broken else []
    bad = [(condition, "", reason, "c0") for condition, reason in scan.broken.items()]
    for n, spec in enumerate(specs):
        place = _place(scan, spec.source)
        kind, where = scan.types[place], f"column {spec.source!r} of {scan.name}"
        values.append(f"{scan.columns[place][1]} AS v{n}")
        spec = inferred(session, scan, spec, kind, scan.columns[place][1], where)
        if specs[n].kind == "auto" and spec.kind == "vector":
            sql = undeclared_vector(kind, f"v{n}", spec.width or 1)
        else:
            sql = column_sql(spec, kind, where, v=f"v{n}", x=f"x{n}", numbers=scan.numbers)
            if specs[n].kind == "auto" and spec.kind == "number":  # floats as they are
                sql.bad.clear()
        known.append(spec)
        inner.append(f"{sql.value} AS x{n}")
        outputs.append(f"x{n}")
        if sql.more is not None:
            inner.append(f"{sql.more} AS m{n}")
            more.append(f"m{n}")
        of = family(kind)
        shown = text_of(of, f"v{n}") if of in ("json", "bytes") else f"CAST(v{n} AS VARCHAR)"
        bad += [(condition, spec.source, reason, shown) for condition, reason in sql.bad]
    expect_in_each_file(scan, [spec.source for spec in specs])
    if itemless is not None:
        bad.append(_without_item(known, itemless))
    select = f"SELECT *, {', '.join(inner)} FROM (SELECT {', '.join(values)}{_MORE} FROM {scan.source})"
    undeclared = {spec.name for spec in specs if spec.kind == "auto"}
    return Reading(scan, known, undeclared, select, outputs + more, bad)


def read_batches(session: Session, table: Reading) -> Iterator[pa.RecordBatch]:
    """The good rows of a table, two million in memory at a time; the others are rejected at the end.

    Raises:
        InputError: if the table cannot be read, or has no rows.
    """
    cases = " ".join(f"WHEN {condition} THEN {n}" for n, (condition, *_) in enumerate(table.bad, 1))
    coded = f"CAST({f'CASE {cases} ELSE 0 END' if cases else '0'} AS USMALLINT) AS reject"
    rows, before = 0, session.rejects.total
    places, codes = [np.empty(0, np.int64)], [np.empty(0, np.uint16)]
    with reading(table.scan.name):
        # what samples have left
        session.connection.execute("DROP TABLE IF EXISTS reject_errors; DROP TABLE IF EXISTS reject_scans")
        query = f"SELECT {', '.join(table.outputs)}, {coded} FROM ({table.inner})"
        for batch in _batches(session.connection.sql(query)):
            found = batch.column("reject").to_numpy()
            batch = batch.select(table.outputs)
            if found.any():
                places.append(rows + np.flatnonzero(found))
                codes.append(found[found > 0])
                batch = batch.filter(pa.array(found == 0))
            rows += len(found)
            yield batch
        broken = _reject_broken_lines(session, table.scan)
        if len(places) > 1:
            _reject_rows(session, table, coded, np.concatenate(places), np.concatenate(codes), broken)
    if not rows and session.rejects.total == before:
        raise InputError(f"{table.scan.name} has no rows; expected one row an event, user or item")


def _batches(query: duckdb.DuckDBPyRelation) -> Iterator[pa.RecordBatch]:
    """A result in batches of about two million rows, since each is merged into the dictionaries so far."""
    named = "to_arrow_reader" if hasattr(query, "to_arrow_reader") else "fetch_arrow_reader"  # before 1.5
    pending: list[pa.RecordBatch] = []
    for batch in getattr(query, named)(_ROWS):
        pending.append(batch)
        if sum(batch.num_rows for batch in pending) >= _ROWS:
            yield from pa.Table.from_batches(pending).combine_chunks().to_batches()
            pending.clear()
    yield from pa.Table.from_batches(pending).combine_chunks().to_batches() if pending else ()


def _place(scan: Scan, name: str) -> int:
    """Which column of a table has a name."""
    there = scan.names
    if there.count(name) > 1:
        raise InputError(f"{scan.name} has the column {name!r} more than once; rename one")
    if name not in there:
        raise InputError(
            f"{scan.name} has no column {name!r}{nearest(name, there)}; it has {', '.join(there)}"
        )
    return there.index(name)


def _without_item(specs: Sequence[ColumnSpec], itemless: Sequence[str]) -> tuple[str, str, str, str]:
    """A row without an item is bad, unless its type needs none."""
    by_name = {spec.name: n for n, spec in enumerate(specs)}
    lacks = f"x{by_name['item']} IS NULL" if "item" in by_name else "true"
    if "type" in by_name and itemless:
        lacks += f" AND (x{by_name['type']} IN ({', '.join(map(sql_text, itemless))})) IS NOT TRUE"
    source = specs[by_name["item"]].source if "item" in by_name else "item"
    return lacks, source, reasons.MISSING_ID, "NULL"


def _reject_rows(
    session: Session, table: Reading, coded: str, rows: np.ndarray, codes: np.ndarray, broken: Sequence[int]
) -> None:
    """Rejects rows by their numbers among those DuckDB read, from 0; reads again what they hold."""
    scan, room = table.scan, session.rejects.room
    where = ", filename, file_row_number" if scan.source.startswith("read_parquet") else ""
    texts = " ".join(f"WHEN {n} THEN {text}" for n, (*_, text) in enumerate(table.bad, 1))
    # the same columns as before, since broken characters in one make DuckDB leave the row out
    values = ", ".join(f"v{n}" for n in range(len(table.specs)))
    coded_rows = f"SELECT *, {coded} FROM ({table.inner.replace(_MORE, where)})"
    numbered = (
        f"SELECT row_number() OVER () AS n, reject, left(CASE reject {texts} END, {LONGEST_VALUE}) AS value"
        f"{where}, {values} FROM ({coded_rows}) WHERE reject > 0"
    )
    # at least one row of each reason
    first = "row_number() OVER (PARTITION BY reject ORDER BY n) = 1"
    query = f"SELECT * FROM ({numbered}) QUALIFY n <= {room} OR {first} ORDER BY n"
    found = session.connection.sql(query).to_arrow_table()
    places = rows[found["n"].to_numpy() - 1] + 1
    if where:
        places = found["file_row_number"].to_numpy() + 1
    elif scan.file is not None:
        places = scan.file.lines(places, broken)
    why = [table.bad[code - 1] for code in found["reject"].to_pylist()]
    counts: Counter[str] = Counter()
    for code, count in zip(*np.unique(codes, return_counts=True), strict=True):
        counts[table.bad[code - 1][2]] += int(count)
    columns = {
        "file": found["filename"] if where else [scan.name] * len(why), "line": places,
        "column": [column for _, column, *_ in why], "reason": [reason for *_, reason, _ in why],
        "value": found["value"],
    }  # fmt: skip
    session.rejects.add(pa.table(columns, SCHEMA), counts)


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
    session.rejects.add(pa.table(columns, SCHEMA), Counter(why))
    return lines
