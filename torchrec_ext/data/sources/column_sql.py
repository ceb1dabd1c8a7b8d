"""SQL of a value by its type, and of a column by its kind, with the conditions that reject a row."""

import re
from typing import NamedTuple

from torchrec_ext.data.sources import rejects as reasons
from torchrec_ext.data.sources.declaration import ColumnSpec
from torchrec_ext.errors import InputError

EARLIEST, LATEST = -2_208_988_800, 7_258_118_400  # 1900-01-01 and 2200-01-01
PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
_MISSING = {"id": reasons.MISSING_ID, "number": reasons.MISSING_NUMBER, "time": reasons.MISSING_TIME}
_FAMILIES = {
    "VARCHAR": "text", "ENUM": "text", "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer",
    "BIGINT": "integer", "UTINYINT": "integer", "USMALLINT": "integer", "UINTEGER": "integer",
    "UBIGINT": "large", "HUGEINT": "large", "UHUGEINT": "large", "FLOAT": "single", "DOUBLE": "float",
    "DECIMAL": "decimal", "BOOLEAN": "flag", "BLOB": "bytes", "JSON": "json", '"NULL"': "null",
    "DATE": "date", "STRUCT": "record", "MAP": "record", "UNION": "record",
}  # fmt: skip


class SqlValue(NamedTuple):
    """A value in SQL: an expression ``v``, DuckDB's type of it, and the decimal mark of numbers in text.

    Of JSON ``v`` is the text, of a string without its quotes, and ``shape`` the name of its type in SQL.
    """

    v: str
    type: str
    decimal: str = "."
    shape: str = "NULL"

    @property
    def family(self) -> str:
        """What matters of the type: text, integer, large, single, float, flag, date, list, ..."""
        name = self.type.partition("(")[0]
        if self.type.endswith("]"):
            return "list"
        if name == "DECIMAL" and self.type.endswith(",0)"):
            return "large"
        return "date" if name.startswith("TIMESTAMP") else _FAMILIES.get(name, "other")

    @property
    def element(self) -> "SqlValue":
        """An element ``e`` of a list."""
        if self.type == "JSON":
            return SqlValue("(e->>'$')", "JSON", self.decimal, "json_type(e)")
        return SqlValue("e", re.sub(r"\[\d*\]$", "", self.type), self.decimal)

    @property
    def array(self) -> str:
        """JSON that holds a list, else NULL."""
        return f"CASE {self.shape} WHEN 'ARRAY' THEN CAST({self.v} AS JSON) END"

    @property
    def elements(self) -> str:
        """A list, or JSON that holds one, as a list in SQL."""
        return f"TRY_CAST({self.array if self.type == 'JSON' else self.v} AS {self.element.type}[])"

    @property
    def words(self) -> "SqlValue":
        """JSON or bytes as text."""
        text = f"TRY(decode({self.v}))" if self.family == "bytes" else self.v
        return SqlValue(text, "VARCHAR", self.decimal)

    @property
    def text(self) -> str:
        """A single value as text: whole floats without a point, since gaps turn integers into floats."""
        v, family = self.v, self.family
        if family == "json":
            double = SqlValue(f"TRY_CAST({v} AS DOUBLE)", "DOUBLE").text
            return f"CASE {self.shape} WHEN 'DOUBLE' THEN {double} ELSE {v} END"
        if family in ("float", "single"):
            return (
                f"CASE WHEN isnan({v}) THEN NULL WHEN abs({v}) < 9007199254740992 AND {v} = floor({v}) "
                f"THEN CAST(CAST({v} AS BIGINT) AS VARCHAR) ELSE CAST({self.number} AS VARCHAR) END"
            )
        return self.words.v if family in ("text", "integer", "bytes") else f"CAST({v} AS VARCHAR)"

    @property
    def number(self) -> str | None:
        """As DOUBLE, NULL for text that is not a number as Python's float reads it; None for other types."""
        v, family = self.v, self.family
        if family == "single":  # the number that is written alike, so that .7 stays .7
            return f"CAST(CAST({v} AS VARCHAR) AS DOUBLE)"
        if family in ("integer", "large", "float", "decimal", "flag", "null"):
            return f"CAST({v} AS DOUBLE)"
        if family == "json":
            return f"CASE {self.shape} WHEN 'BOOLEAN' THEN ({v} = 'true')::INT ELSE {self.words.number} END"
        if family not in ("text", "bytes"):
            return None
        text = self.words.v
        odd = f"contains({text}, '_')"  # DuckDB reads 1_000
        if self.decimal != ".":
            odd += f" OR contains({text}, '.')"
            text = f"replace({text}, {sql_text(self.decimal)}, '.')"
        return f"CASE WHEN {odd} THEN NULL ELSE TRY_CAST({text} AS DOUBLE) END"


class ColumnSql(NamedTuple):
    """A column in SQL: its value, and conditions and reasons for which a row is rejected.

    ``more`` is what the value does not hold: of a time, its nanoseconds beyond the last microsecond; of an
    id in JSON, whether it is a string.
    """

    value: str
    bad: list[tuple[str, str]]
    more: str | None = None


def column_sql(spec: ColumnSpec, value: SqlValue, x: str, where: str) -> ColumnSql:
    """The SQL of a column as ``x``, made of the table's value; ``where`` names the column in messages.

    Its kind is not ``auto``, and a time that is a number has a unit.
    """
    v, kind = value.v, value.type
    if spec.kind == "id":
        found = _id(value, x, where)
    elif spec.kind in ("category", "type"):
        if value.family in ("list", "record"):
            raise InputError(
                f"{where} holds values of type {kind}, expected single ones; is it of kind 'categories'?"
            )
        found = _category(value, x) if spec.kind == "category" else _type(spec, value, x)
    elif spec.kind == "categories":
        found = _categories(spec, value, where)
    elif spec.kind == "vector":
        found = _vector(spec, value, where)
    elif spec.kind == "time":
        found = _time(spec, value, x, where)
    else:
        if value.number is None:
            raise InputError(f"{where} holds values of type {kind}; expected numbers")
        found = ColumnSql(value.number, [(f"isinf({x})", reasons.INFINITE_NUMBER)])
        if value.family in ("text", "bytes", "json"):
            found.bad.insert(0, (f"{x} IS NULL AND {v} IS NOT NULL", reasons.UNPARSABLE_NUMBER))
    if value.family == "bytes":
        found.bad.insert(0, (f"{v} IS NOT NULL AND {value.text} IS NULL", reasons.BROKEN_ENCODING))
    if spec.needed:
        gone = f"{x} IS NULL" + (f" OR isnan({x})" if spec.kind == "number" else "")
        found.bad.append((gone, _MISSING.get(spec.kind, reasons.MISSING_VALUE)))
    return found


def _id(value: SqlValue, x: str, where: str) -> ColumnSql:
    v = value.v
    if value.family in ("text", "bytes", "null"):
        return ColumnSql(f"CAST({value.text} AS VARCHAR)", [])
    if value.family in ("single", "float"):  # without any value, as the caller knows
        return ColumnSql("CAST(NULL AS VARCHAR)", [])
    if value.family in ("integer", "large"):
        return ColumnSql(f"CAST({v} AS BIGINT)", [])
    if value.family == "json":
        string = f"{value.shape} = 'VARCHAR'"
        integer = f"contains({value.shape}, 'INT') AND TRY_CAST({v} AS BIGINT) IS NOT NULL"
        bad = [(f"{v} IS NOT NULL AND {x} IS NULL", reasons.NOT_AN_ID)]
        return ColumnSql(f"CASE WHEN {string} OR {integer} THEN {v} END", bad, string)
    held = "booleans" if value.family == "flag" else f"of type {value.type}"
    raise InputError(f"ids of {where} are {held}; ids must be integers or strings")


def _category(value: SqlValue, x: str) -> ColumnSql:
    v = value.v
    if value.family == "json":
        single = f"{value.shape} NOT IN ('ARRAY', 'OBJECT')"
        bad = [(f"{v} IS NOT NULL AND {x} IS NULL", reasons.NOT_A_VALUE)]
        return ColumnSql(f"CASE WHEN {single} THEN {value.text} END", bad)
    return ColumnSql(
        f"CAST({v} AS BIGINT)" if value.family == "integer" else f"CAST({value.text} AS VARCHAR)", []
    )


def _type(spec: ColumnSpec, value: SqlValue, x: str) -> ColumnSql:
    plain, bad, _ = _category(value, x)
    plain = f"CAST({plain} AS VARCHAR)"
    if spec.values is None:
        return ColumnSql(plain, bad)
    cases = " ".join(f"WHEN {sql_text(theirs)} THEN {sql_text(ours)}" for theirs, ours in spec.values.items())
    unknown = (f"({plain}) IS NOT NULL AND {x} IS NULL", reasons.UNKNOWN_TYPE)
    return ColumnSql(f"CASE {plain} {cases} END", [*bad, unknown])


def _categories(spec: ColumnSpec, value: SqlValue, where: str) -> ColumnSql:
    v, element, bad = value.v, value.element, []
    split = f"string_split({value.words.v}, {sql_text(spec.separator)})"
    listed = f"list_transform({value.elements}, lambda e: {element.text})"
    if value.family == "json":
        nested = f"list_filter({value.elements}, lambda e: json_type(e) IN ('ARRAY', 'OBJECT'))"
        bad = [(f"{value.shape} = 'OBJECT' OR len({nested}) > 0", reasons.NOT_A_VALUE)]
        found = (
            f"CASE {value.shape} WHEN 'ARRAY' THEN {listed} WHEN 'OBJECT' THEN NULL "
            f"WHEN 'VARCHAR' THEN {split} WHEN 'NULL' THEN NULL ELSE [{value.text}] END"
        )
    elif value.family == "list":
        if element.family in ("list", "record"):
            raise no_category(where, value.type)
        found = listed
    elif value.family in ("text", "bytes"):
        found, element = split, value
    else:
        found, element = f"CASE WHEN {v} IS NOT NULL THEN [{_category(value, 'NULL').value}] END", value
    empty = "" if element.family == "integer" else " AND e != ''"
    return ColumnSql(f"list_filter({found}, lambda e: e IS NOT NULL{empty})", bad)


def no_category(where: str, type: str) -> InputError:
    """The error of nested values."""
    return InputError(
        f"{where} holds values of type {type}, of which no category can be made; leave it out by mapping its "
        "name to None in columns, or convert it"
    )


def _vector(spec: ColumnSpec, value: SqlValue, where: str) -> ColumnSql:
    v, width = value.v, spec.width
    element, lists = value.element, value.elements
    if value.family in ("text", "bytes", "null"):
        element = SqlValue("e", "VARCHAR", value.decimal)
        lists = f"string_split(CAST({value.text} AS VARCHAR), {sql_text(spec.separator)})"
    number = element.number
    if value.family not in ("text", "bytes", "null", "json", "list") or number is None:
        raise InputError(f"{where} holds values of type {value.type}; expected lists of {width} numbers")
    values = f"list_transform({lists}, lambda e: {number})"
    large = "isinf(e) OR NOT isnan(e) AND TRY_CAST(e AS FLOAT) IS NULL"
    bad = [
        (f"{v} IS NOT NULL AND len({lists}) IS DISTINCT FROM {width}", reasons.WRONG_LENGTH),
        (_some(lists, f"e IS NOT NULL AND ({number}) IS NULL"), reasons.UNPARSABLE_NUMBER),
        (_some(values, large), reasons.INFINITE_NUMBER),
        (_some(values, "e IS NULL OR isnan(e)"), reasons.MISSING_NUMBER),
    ]
    return ColumnSql(f"TRY_CAST({values} AS FLOAT[{width}])", bad)


def _some(lists: str, condition: str) -> str:
    return f"len(list_filter({lists}, lambda e: {condition})) > 0"


def undeclared_vector(value: SqlValue, width: int) -> ColumnSql:
    """Lists of floats as they are, of which those of another length are missing."""
    lists = f"TRY_CAST({value.array} AS DOUBLE[])" if value.type == "JSON" else value.elements
    return ColumnSql(f"TRY_CAST(CASE WHEN len({lists}) = {width} THEN {lists} END AS FLOAT[{width}])", [])


def _time(spec: ColumnSpec, value: SqlValue, x: str, where: str) -> ColumnSql:
    v, number, per_second = value.v, value.number, PER_SECOND[spec.unit or "s"]
    bad = [
        (f"isinf({x})", reasons.INFINITE_NUMBER),
        (f"{x} < {EARLIEST} OR {x} > {LATEST}", reasons.OUT_OF_RANGE),
    ]
    if value.family in ("text", "bytes", "json"):
        text, number = value.words.v, value.words.number
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
    ticks = v if value.family in ("integer", "large") and spec.unit == "ns" else None
    if value.family == "date":
        ticks = f"epoch_ns({v})" if value.type.endswith("_NS") else None
        moment = v if "ZONE" in value.type else f"CAST({v} AS TIMESTAMP)"
        number, per_second = f"epoch_us({moment})", 1_000_000
    elif number is None or value.family == "flag":
        raise InputError(f"{where} holds values of type {value.type}; expected seconds or dates")
    if ticks is not None:
        return ColumnSql(f"{ticks} // 1000 / 1e6", bad, f"CAST({ticks} % 1000 AS SMALLINT)")
    return ColumnSql(f"({number}) / {per_second}", bad)


def sql_text(text: object) -> str:
    """A text as a literal of SQL."""
    return "'" + str(text).replace("'", "''") + "'"


def sql_name(name: str) -> str:
    """A name as an identifier of SQL."""
    return '"' + name.replace('"', '""') + '"'
