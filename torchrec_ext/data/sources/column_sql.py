"""SQL of a column by its kind: its value, and the conditions under which a row has none and is rejected."""

from collections.abc import Callable
from typing import NamedTuple

from torchrec_ext.data.sources import rejects as reasons
from torchrec_ext.data.sources.column_spec import ColumnSpec
from torchrec_ext.data.sources.one_line import sql_text
from torchrec_ext.data.sources.value_sql import NumberText, element_of, family, json_text, number_of, text_of
from torchrec_ext.errors import InputError

EARLIEST, LATEST = -2_208_988_800, 7_258_118_400  # 1900-01-01 and 2200-01-01
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MISSING = {"id": reasons.MISSING_ID, "number": reasons.MISSING_NUMBER, "time": reasons.MISSING_TIME}


class ColumnSql(NamedTuple):
    """A column in SQL.

    Args:
        value: of the table's value ``v``.
        bad: conditions on the table's value ``v`` and on the value ``x`` under which a row is rejected, with
            the reason.
        more: a second value that the first alone does not hold: of a time, its nanoseconds beyond the last
            microsecond; of an id in JSON, whether it is a string.
    """

    value: str
    bad: list[tuple[str, str]]
    more: str | None = None


def column_sql(spec: ColumnSpec, kind: str, where: str, *, v: str, x: str, numbers: NumberText) -> ColumnSql:
    """The SQL of a column of a table.

    Args:
        spec: what it holds; its kind is not ``auto``, and a time that is a number has a unit.
        kind: DuckDB's type of it.
        where: names it in messages.
        v: the table's value.
        x: the value as this function defines it.
        numbers: how text writes numbers.

    Raises:
        InputError: if the kind cannot be made of the type.
    """
    of = family(kind)
    found = _BY_KIND[spec.kind](spec, of, kind, where, v, x, numbers)
    if of == "bytes":
        found.bad.insert(0, (f"{v} IS NOT NULL AND TRY(decode({v})) IS NULL", reasons.BROKEN_ENCODING))
    if spec.needed:
        gone = f"{x} IS NULL" + (f" OR isnan({x})" if spec.kind == "number" else "")
        found.bad.append((gone, _MISSING.get(spec.kind, reasons.MISSING_VALUE)))
    return found


def _id(spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText) -> ColumnSql:
    if of in ("text", "bytes", "null"):
        return ColumnSql(f"CAST({text_of(of, v)} AS VARCHAR)", [])
    if of in ("single", "float"):  # without any value, as the caller knows
        return ColumnSql("CAST(NULL AS VARCHAR)", [])
    if of in ("integer", "large"):
        return ColumnSql(f"CAST({v} AS BIGINT)", [])
    if of == "json":
        text = json_text(v)
        integer = f"contains(json_type({v}), 'INT') AND TRY_CAST({text} AS BIGINT) IS NOT NULL"
        return ColumnSql(
            f"CASE WHEN json_type({v}) = 'VARCHAR' OR {integer} THEN {text} END",
            [(f"{v} IS NOT NULL AND {x} IS NULL", reasons.NOT_AN_ID)],
            f"json_type({v}) = 'VARCHAR'",
        )
    if of == "flag":
        raise InputError(f"ids of {where} are booleans; ids must be integers or strings")
    raise InputError(f"ids of {where} are of type {kind}; ids must be integers or strings")


def _category(
    spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText
) -> ColumnSql:
    if of in ("list", "record"):
        raise InputError(
            f"{where} holds values of type {kind}, expected single ones; is it of kind 'categories'?"
        )
    if of == "json":
        single = f"json_type({v}) NOT IN ('ARRAY', 'OBJECT')"
        bad = [(f"{v} IS NOT NULL AND {x} IS NULL", reasons.NOT_A_VALUE)]
        return ColumnSql(f"CASE WHEN {single} THEN {text_of(of, v)} END", bad)
    return ColumnSql(f"CAST({v} AS BIGINT)" if of == "integer" else f"CAST({text_of(of, v)} AS VARCHAR)", [])


def _type(spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText) -> ColumnSql:
    value, bad, _ = _category(spec, of, kind, where, v, x, numbers)
    value = f"CAST({value} AS VARCHAR)"
    if spec.values is None:
        return ColumnSql(value, bad)
    cases = " ".join(f"WHEN {sql_text(k)} THEN {sql_text(ours)}" for k, ours in spec.values.items())
    return ColumnSql(
        f"CASE {value} {cases} END", [*bad, (f"({value}) IS NOT NULL AND {x} IS NULL", reasons.UNKNOWN_TYPE)]
    )


def _categories(
    spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText
) -> ColumnSql:
    split = f"string_split({{}}, {sql_text(spec.separator)})"
    bad = []
    if of == "json":
        nested = (
            f"len(list_filter(TRY_CAST({v} AS JSON[]), lambda j: json_type(j) IN ('ARRAY', 'OBJECT'))) > 0"
        )
        listed = f"list_transform(TRY_CAST({v} AS JSON[]), lambda j: {text_of('json', 'j')})"
        bad = [(f"json_type({v}) = 'OBJECT' OR {nested}", reasons.NOT_A_VALUE)]
        words = split.format(json_text(v))
        found = (
            f"CASE json_type({v}) WHEN 'ARRAY' THEN {listed} WHEN 'OBJECT' THEN NULL "
            f"WHEN 'VARCHAR' THEN {words} "
            f"WHEN 'NULL' THEN NULL ELSE [{text_of(of, v)}] END"
        )
    elif of == "list":
        inner = element_of(kind)
        if family(inner) in ("list", "record"):
            raise InputError(
                f"{where} holds values of type {kind}, of which no category can be made; leave it out by "
                "mapping its name to None in columns, or convert it"
            )
        found = f"list_transform(CAST({v} AS {inner}[]), lambda e: {text_of(family(inner), 'e')})"
        of = family(inner)
    elif of in ("text", "bytes"):
        found = split.format(text_of(of, v))
    else:
        found = (
            f"CASE WHEN {v} IS NOT NULL THEN [{_category(spec, of, kind, where, v, x, numbers).value}] END"
        )
    there = "e IS NOT NULL" if of == "integer" else "e IS NOT NULL AND e != ''"
    return ColumnSql(f"list_filter({found}, lambda e: {there})", bad)


def _number(
    spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText
) -> ColumnSql:
    value = number_of(of, v, numbers)
    if value is None:
        raise InputError(f"{where} holds values of type {kind}; expected numbers")
    bad = [(f"isinf({x})", reasons.INFINITE_NUMBER)]
    if of in ("text", "bytes", "json"):
        bad.insert(0, (f"{x} IS NULL AND {v} IS NOT NULL", reasons.UNPARSABLE_NUMBER))
    return ColumnSql(value, bad)


def _vector(
    spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText
) -> ColumnSql:
    width = spec.width
    if of == "list":
        inner = element_of(kind)
        of, lists = family(inner), f"CAST({v} AS {inner}[])"
    elif of == "json":
        lists = f"TRY_CAST({v} AS JSON[])"
    elif of in ("text", "bytes", "null"):
        lists, of = f"string_split(CAST({text_of(of, v)} AS VARCHAR), {sql_text(spec.separator)})", "text"
    else:
        raise InputError(f"{where} holds values of type {kind}; expected lists of {width} numbers")
    number = number_of(of, "e", numbers)
    if number is None:
        raise InputError(f"{where} holds values of type {kind}; expected lists of {width} numbers")
    values = f"list_transform({lists}, lambda e: {number})"
    unparsable = f"len(list_filter({lists}, lambda e: e IS NOT NULL AND ({number}) IS NULL)) > 0"
    large = (
        f"len(list_filter({values}, lambda e: isinf(e) OR NOT isnan(e) AND TRY_CAST(e AS FLOAT) IS NULL)) > 0"
    )
    gone = f"len(list_filter({values}, lambda e: e IS NULL OR isnan(e))) > 0"
    bad = [
        (f"{v} IS NOT NULL AND len({lists}) IS DISTINCT FROM {width}", reasons.WRONG_LENGTH),
        (unparsable, reasons.UNPARSABLE_NUMBER),
        (large, reasons.INFINITE_NUMBER),
        (gone, reasons.MISSING_NUMBER),
    ]
    return ColumnSql(f"TRY_CAST({values} AS FLOAT[{width}])", bad)


def undeclared_vector(kind: str, v: str, width: int) -> ColumnSql:
    """Lists of floats as they are, of which those of another length are missing."""
    lists = f"TRY_CAST({v} AS DOUBLE[])" if kind == "JSON" else f"CAST({v} AS {element_of(kind)}[])"
    return ColumnSql(f"TRY_CAST(CASE WHEN len({lists}) = {width} THEN {lists} END AS FLOAT[{width}])", [])


def _time(spec: ColumnSpec, of: str, kind: str, where: str, v: str, x: str, numbers: NumberText) -> ColumnSql:
    per_second = PER_SECOND[spec.unit or "s"]
    bad = [
        (f"isinf({x})", reasons.INFINITE_NUMBER),
        (f"{x} < {EARLIEST} OR {x} > {LATEST}", reasons.OUT_OF_RANGE),
    ]
    if of in ("text", "bytes", "json"):
        text = json_text(v) if of == "json" else text_of(of, v)
        number = number_of("text", text, numbers)
        # hours alone, and minutes before a zone, get what DuckDB wants behind them
        zoned = rf"regexp_replace({text}, '([T ]\d\d:\d\d)([-+Z])', '\1:00\2')"
        casts = [f"TRY_CAST({t} AS TIMESTAMPTZ)" for t in (text, f"trim({text}) || ':00'", zoned)]
        dated = rf"regexp_matches({text}, '^\s*\d{{4}}-\d\d-\d\d')"
        date = f"CASE WHEN {dated} THEN COALESCE({', '.join(casts)}) END"
        # DuckDB's times in text have microseconds, the digits behind them are read apart
        fine = rf"TRY_CAST(rpad(regexp_extract({text}, '\.\d{{6}}(\d{{1,3}})', 1), 3, '0') AS SMALLINT)"
        seconds, digits = f"({number}) / {per_second}", "0"
        if spec.unit == "ns":
            whole = f"TRY_CAST({text} AS BIGINT)"
            seconds = f"COALESCE({whole} // 1000 / 1e6, {seconds})"
            digits = f"COALESCE({whole} % 1000, 0)"
        return ColumnSql(
            f"COALESCE({seconds}, epoch_us({date}) / 1e6)",
            [(f"{x} IS NULL AND {v} IS NOT NULL", reasons.UNPARSABLE_TIME), *bad],
            f"CAST(CASE WHEN ({number}) IS NULL THEN {fine} ELSE {digits} END AS SMALLINT)",
        )
    if of == "date":
        if kind.endswith("_NS"):
            return ColumnSql(f"epoch_ns({v}) // 1000 / 1e6", bad, f"CAST(epoch_ns({v}) % 1000 AS SMALLINT)")
        moment = v if "ZONE" in kind else f"CAST({v} AS TIMESTAMP)"
        return ColumnSql(f"epoch_us({moment}) / 1e6", bad)
    plain = None if of == "flag" else number_of(of, v)
    if plain is None:
        raise InputError(f"{where} holds values of type {kind}; expected seconds or dates")
    if spec.unit == "ns" and of in ("integer", "large"):
        return ColumnSql(f"{v} // 1000 / 1e6", bad, f"CAST({v} % 1000 AS SMALLINT)")
    return ColumnSql(f"({plain}) / {per_second}", bad)


_BY_KIND: dict[str, Callable[..., ColumnSql]] = {
    "id": _id, "category": _category, "categories": _categories, "number": _number, "vector": _vector,
    "time": _time, "type": _type,
}  # fmt: skip
