"""What the values of a column show of it: the unit of its times, and the kind of an undeclared one."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from torchrec_ext.data.sources.column_sql import SqlValue, no_category
from torchrec_ext.data.sources.declaration import ColumnSpec, Unit
from torchrec_ext.data.sources.scan import Scan, Session
from torchrec_ext.data.sources.source_file import reading
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)

_SAMPLE = 20_000
_UNITS: tuple[tuple[float, Unit], ...] = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"))


def infer(
    session: Session, scan: Scan, specs: Sequence[ColumnSpec], values: Sequence[SqlValue]
) -> list[ColumnSpec]:
    """The columns with a unit, if they are times, and with a kind other than ``auto``.

    A sample of times with a median beyond 1e11 is in milliseconds, 1e14 microseconds, 1e17 nanoseconds.
    Floats are numbers, lists of floats vectors, other lists categories, all else is a category.
    """
    values = list(values)
    auto = {
        n: spec.source for n, spec in enumerate(specs) if spec.kind == "auto" and values[n].type == "JSON"
    }
    few = scan.of([*auto.values()]) if scan.of is not None else scan
    shapes = {n: f"list(DISTINCT {few.value(source).shape})" for n, source in auto.items()}
    for n, types in _ask(session, few, shapes).items():
        values[n] = values[n]._replace(type=_type(types))
    samples, figures = {}, {}
    for n, (spec, value) in enumerate(zip(specs, values, strict=True)):
        if spec.kind == "time" and spec.unit is None and value.number is not None:
            number = f"abs({value.number})"
            samples[n] = f"median({number}) FILTER (isfinite({number}))"
        elif (figure := _figure(spec, value, scan.frame)) is not None:
            figures[n] = figure
    answers = {**_ask(session, scan, samples, f"LIMIT {_SAMPLE}"), **_ask(session, scan, figures)}
    known = []
    for n, (spec, value) in enumerate(zip(specs, values, strict=True)):
        where, answer = scan.where(spec), answers.get(n)
        if n in samples:
            unit: Unit = next((unit for least, unit in _UNITS if (answer or 0) > least), "s")
            if unit != "s":
                log.info("%s: took times around %.4g as %s", where, answer, unit)
            spec = replace(spec, unit=unit)
        elif spec.kind == "id" and answer is not None:
            _expect_ids(value.family, answer, where)
        elif spec.kind == "auto":
            spec = _with_kind(spec, value, answer or {}, where)
        known.append(spec)
    return known


def _figure(spec: ColumnSpec, value: SqlValue, frame: bool) -> str | None:
    """What all rows have to say of ids or of an undeclared column, in SQL; None if their type says it."""
    v, family = value.v, value.family
    if spec.kind == "id":
        return {
            "large": f"max({v})",
            "bytes": f"first({v}) FILTER ({v} IS NOT NULL)" if frame else None,
            "single": f"first({v}) FILTER ({v} IS NOT NULL AND NOT isnan({v}))",
            "float": f"first({v}) FILTER ({v} IS NOT NULL AND NOT isnan({v}))",
        }.get(family)
    if spec.kind != "auto":
        return None
    if value.type == "JSON[]":
        inner = f"flatten(list(DISTINCT list_distinct(json_type({value.array}, '$[*]'))))"
        return f"{{'inner': {inner}, 'widths': list(DISTINCT json_array_length({value.array}))}}"
    return f"{{'widths': list(DISTINCT len({v}))}}" if family == "list" else None


def _with_kind(spec: ColumnSpec, value: SqlValue, answer: Mapping[str, Any], where: str) -> ColumnSpec:
    """An undeclared column with the kind of all its values."""
    if "inner" in answer:
        value = value._replace(type=_type(answer["inner"]) + "[]")
    family, element = value.family, value.element.family
    if family == "record" or family == "list" and element in ("list", "record"):
        raise no_category(where, "JSON" if value.shape != "NULL" else value.type)
    if family == "list" and element in ("single", "float"):
        widths = sorted(width for width in answer["widths"] or () if width)
        if len(widths) > 1:
            raise InputError(
                f"{where} holds lists of {widths[0]} and of {widths[1]} numbers; declare the width of the "
                "vector, and rows of other lengths are set aside"
            )
        return replace(spec, kind="vector", width=widths[0] if widths else 1)
    if family in ("single", "float"):
        return replace(spec, kind="number")
    return replace(spec, kind="categories" if family == "list" else "category")


def _type(found: Sequence[str | None] | None) -> str:
    """The type that all values of JSON share, as far as it matters, from DuckDB's names of theirs."""
    types = {*(found or ())} - {None, "NULL"}
    if "DOUBLE" in types and types <= {"DOUBLE", "BIGINT", "UBIGINT"}:
        return "DOUBLE"
    return "JSON[]" if types == {"ARRAY"} else "STRUCT" if types == {"OBJECT"} else "JSON"


def _expect_ids(family: str, found: Any, where: str) -> None:
    """Refuses values that are no ids, though their type has some that are."""
    if family in ("single", "float"):
        raise InputError(
            f"ids of {where} are floats (such as {found}); ids must be integers or strings. Missing values "
            "turn integers into floats: drop them and use astype('int64'), or astype('Int64')"
        )
    if family == "bytes":
        raise InputError(
            f"ids of {where} are bytes: {found!r:.60}; decode them, ids must be integers or strings"
        )
    if found >= 2**63:
        raise InputError(f"id {found} of {where} is beyond 64 bits; make the ids strings with astype(str)")


def _ask(session: Session, scan: Scan, figures: Mapping[int, str], limit: str = "") -> dict[int, Any]:
    """Figures of all rows of a table or of its first, by number of their column."""
    if not figures:
        return {}
    with reading(scan.name):
        found = session.connection.execute(
            f"SELECT {', '.join(figures.values())} FROM (SELECT * FROM {scan.source} {limit})"
        ).fetchall()
    return dict(zip(figures, found[0], strict=True))
