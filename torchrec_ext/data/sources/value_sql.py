"""SQL of single values: the family of their type, and how they become text or numbers."""

import re
from typing import NamedTuple

from torchrec_ext.data.sources.one_line import sql_text

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")


class NumberText(NamedTuple):
    """How text writes numbers.

    Args:
        decimal: their decimal mark.
        underscores: whether text may hold underscores, with which DuckDB reads 1_000 and Python's float
            of text files should not.
    """

    decimal: str = "."
    underscores: bool = True


_USUAL = NumberText()


def family(kind: str) -> str:
    """The family of a DuckDB type: text, integer, large, single, float, flag, date, list, ..."""
    name = kind.partition("(")[0]
    if kind.endswith("]"):
        return "list"
    if name in ("VARCHAR", "ENUM"):
        return "text"
    if name in _INTEGERS:
        return "integer"
    if name in ("UBIGINT", "HUGEINT", "UHUGEINT") or name == "DECIMAL" and kind.endswith(",0)"):
        return "large"
    if name.startswith("TIMESTAMP") or name == "DATE":
        return "date"
    known = {
        "FLOAT": "single", "DOUBLE": "float", "DECIMAL": "decimal", "BOOLEAN": "flag", "BLOB": "bytes",
        "JSON": "json", '"NULL"': "null", "STRUCT": "record", "MAP": "record", "UNION": "record",
    }  # fmt: skip
    return known.get(name, "other")


def element_of(kind: str) -> str:
    """The type of the elements of a list."""
    return re.sub(r"\[\d*\]$", "", kind)


def text_of(of: str, v: str) -> str:
    """A single value as text: whole floats without a point, as missing values turn integers into floats."""
    if of == "json":
        text = json_text(v)
        double = text_of("float", f"TRY_CAST({text} AS DOUBLE)")
        return f"CASE json_type({v}) WHEN 'DOUBLE' THEN {double} ELSE {text} END"
    if of in ("float", "single"):
        number = number_of(of, v)
        return (
            f"CASE WHEN isnan({v}) THEN NULL WHEN abs({v}) < 9007199254740992 AND {v} = floor({v}) "
            f"THEN CAST(CAST({v} AS BIGINT) AS VARCHAR) ELSE CAST({number} AS VARCHAR) END"
        )
    if of == "bytes":
        return f"TRY(decode({v}))"
    return v if of in ("text", "integer") else f"CAST({v} AS VARCHAR)"


def json_text(v: str) -> str:
    """A JSON value as text, strings without their quotes."""
    return f"({v}->>'$')"


def number_of(of: str, v: str, numbers: NumberText = _USUAL) -> str | None:
    """A number as DOUBLE, NULL for text that is not one, as Python's float reads it; None for other types."""
    if of == "single":  # the number that is written alike, so that .7 stays .7
        return f"CAST(CAST({v} AS VARCHAR) AS DOUBLE)"
    if of in ("integer", "large", "float", "decimal", "flag", "null"):
        return f"CAST({v} AS DOUBLE)"
    if of == "json":
        text = json_text(v)
        flag = f"CASE {text} WHEN 'true' THEN 1 ELSE 0 END"
        number = number_of("text", text, numbers)
        return f"CASE json_type({v}) WHEN 'BOOLEAN' THEN {flag} ELSE {number} END"
    if of not in ("text", "bytes"):
        return None
    text = text_of(of, v)
    odd = [f"contains({text}, '_')"] if numbers.underscores else []
    if numbers.decimal != ".":
        odd.append(f"contains({text}, '.')")
        text = f"replace({text}, {sql_text(numbers.decimal)}, '.')"
    number = f"TRY_CAST({text} AS DOUBLE)"
    return f"CASE WHEN {' OR '.join(odd)} THEN NULL ELSE {number} END" if odd else number
