"""What the values of a column show of it: the unit of its times, and the kind of an undeclared one."""

import logging
from dataclasses import replace
from typing import Any

from torchrec_ext.data.sources.column_spec import ColumnSpec, Unit
from torchrec_ext.data.sources.one_line import reading
from torchrec_ext.data.sources.scan import Scan, Session
from torchrec_ext.data.sources.value_sql import element_of, family, number_of
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

_SAMPLE = 20_000
_UNITS: tuple[tuple[float, Unit], ...] = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))
_NUMBERS = {"DOUBLE", "BIGINT", "UBIGINT"}


def inferred(
    session: Session, scan: Scan, spec: ColumnSpec, kind: str, column: str, where: str
) -> ColumnSpec:
    """The column with a unit, if it is a time, and with a kind other than ``auto``.

    A sample of times with a median beyond 1e11 is in milliseconds, 1e14 microseconds, 1e17 nanoseconds.
    Floats are numbers, lists of floats vectors, other lists categories, all else is a category.

    Args:
        session: of this read.
        scan: the table.
        spec: its column.
        kind: DuckDB's type of it.
        column: its SQL.
        where: names it in messages.

    Raises:
        InputError: for ids that are floats, bytes of Python or beyond 64 bits, and undeclared records.
    """
    of = family(kind)
    if spec.kind == "time" and spec.unit is None and of not in ("date", "list", "record", "other"):
        number = f"abs({number_of(of, 'v', scan.numbers)})"
        median = _ask(session, scan, column, f"median({number}) FILTER (isfinite({number}))", _SAMPLE) or 0
        unit: Unit = next((unit for least, unit in _UNITS if median > least), "s")
        if unit != "s":
            log.info("%s: took times around %.4g as %s", where, median, unit)
        return replace(spec, unit=unit)
    if spec.kind == "id" and of in ("single", "float", "large", "bytes"):
        _expect_ids(session, scan, of, column, where)
    if spec.kind != "auto":
        return spec
    element = family(element_of(kind))
    if of == "json":
        of, element = _family_of_json(session, scan, column)
    if of == "record" or of == "list" and element in ("list", "record"):
        raise InputError(
            f"{where} holds values of type {kind}, of which no category can be made; leave it out by mapping "
            "its name to None in columns, or convert it"
        )
    if of == "list" and element in ("single", "float"):
        listed = "TRY_CAST(v AS JSON[])" if kind == "JSON" else f"CAST(v AS {element_of(kind)}[])"
        found = _ask(session, scan, column, f"list(DISTINCT len({listed}))")
        widths = sorted(width for width in found or () if width)
        if len(widths) > 1:
            raise InputError(
                f"{where} holds lists of {widths[0]} and of {widths[1]} numbers; declare the width of the "
                "vector, and rows of other lengths are set aside"
            )
        return replace(spec, kind="vector", width=widths[0] if widths else 1)
    if of in ("single", "float"):
        return replace(spec, kind="number")
    return replace(spec, kind="categories" if of == "list" else "category")


def _expect_ids(session: Session, scan: Scan, of: str, column: str, where: str) -> None:
    """Refuses values that are no ids, though their type has some that are."""
    if of == "large":
        largest = _ask(session, scan, column, "max(v)")
        if largest is not None and largest >= 2**63:
            raise InputError(
                f"id {largest} of {where} is beyond 64 bits; make the ids strings with astype(str)"
            )
    elif of == "bytes" and scan.frame:
        some = _ask(session, scan, column, "first(v) FILTER (v IS NOT NULL)")
        raise InputError(
            f"ids of {where} are bytes: {some!r:.60}; decode them, ids must be integers or strings"
        )
    elif of != "bytes":
        some = _ask(session, scan, column, "first(v) FILTER (v IS NOT NULL AND NOT isnan(v))")
        if some is not None:
            raise InputError(
                f"ids of {where} are floats (such as {some}); ids must be integers or strings. Missing "
                "values turn integers into floats: drop them and use astype('int64'), or astype('Int64')"
            )


def _family_of_json(session: Session, scan: Scan, column: str) -> tuple[str, str]:
    """The family that all values of a JSON column share, else ``json``; of lists that of elements."""
    found = _ask(session, scan, column, "list(DISTINCT json_type(v))")
    types = set(found or ()) - {"NULL"}
    if types == {"ARRAY"}:
        listed = "list_transform(TRY_CAST(v AS JSON[]), lambda e: json_type(e))"
        inner = {
            t for types in _ask(session, scan, column, f"list(DISTINCT {listed})") or () for t in types or ()
        }
        inner -= {None, "NULL"}
        return "list", "record" if inner & {
            "ARRAY",
            "OBJECT",
        } else "float" if "DOUBLE" in inner <= _NUMBERS else "json"
    return "record" if types == {"OBJECT"} else "float" if "DOUBLE" in types <= _NUMBERS else "json", ""


def _ask(session: Session, scan: Scan, column: str, select: str, rows: int | None = None) -> Any:
    """One figure of the values ``v`` of a column, or of its first rows."""
    limit = "" if rows is None else f"LIMIT {rows}"
    with reading(scan.name):
        found = session.connection.execute(
            f"SELECT {select} FROM (SELECT {column} AS v FROM {scan.source} {limit})"
        ).fetchone()
    return None if found is None else found[0]
