"""SqlValue: a value of a table in SQL, and how it becomes text or a number."""

import re
from typing import NamedTuple

from torchrec_ext.data.sources.one_line import sql_text

_FAMILIES = {
    "VARCHAR": "text", "ENUM": "text", "TINYINT": "integer", "SMALLINT": "integer", "INTEGER": "integer",
    "BIGINT": "integer", "UTINYINT": "integer", "USMALLINT": "integer", "UINTEGER": "integer",
    "UBIGINT": "large", "HUGEINT": "large", "UHUGEINT": "large", "FLOAT": "single", "DOUBLE": "float",
    "DECIMAL": "decimal", "BOOLEAN": "flag", "BLOB": "bytes", "JSON": "json", '"NULL"': "null",
    "DATE": "date", "STRUCT": "record", "MAP": "record", "UNION": "record",
}  # fmt: skip


class SqlValue(NamedTuple):
    """A value in SQL: an expression ``v``, DuckDB's type of it, and the decimal mark of numbers in text."""

    v: str
    type: str
    decimal: str = "."

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
        inner = "JSON" if self.type == "JSON" else re.sub(r"\[\d*\]$", "", self.type)
        return SqlValue("e", inner, self.decimal)

    @property
    def elements(self) -> str:
        """A list, or JSON that holds one, as a list in SQL."""
        return f"TRY_CAST({self.v} AS {self.element.type}[])"

    @property
    def words(self) -> "SqlValue":
        """JSON or bytes as text, strings of JSON without their quotes."""
        known = {"json": f"({self.v}->>'$')", "bytes": f"TRY(decode({self.v}))"}
        return SqlValue(known.get(self.family, self.v), "VARCHAR", self.decimal)

    @property
    def text(self) -> str:
        """A single value as text: whole floats without a point, since gaps turn integers into floats."""
        v, family = self.v, self.family
        if family == "json":
            double = SqlValue(f"TRY_CAST({self.words.v} AS DOUBLE)", "DOUBLE").text
            return f"CASE json_type({v}) WHEN 'DOUBLE' THEN {double} ELSE {self.words.v} END"
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
            flag = f"CASE {self.words.v} WHEN 'true' THEN 1 ELSE 0 END"
            return f"CASE json_type({v}) WHEN 'BOOLEAN' THEN {flag} ELSE {self.words.number} END"
        if family not in ("text", "bytes"):
            return None
        text = self.words.v
        odd = f"contains({text}, '_')"  # DuckDB reads 1_000
        if self.decimal != ".":
            odd += f" OR contains({text}, '.')"
            text = f"replace({text}, {sql_text(self.decimal)}, '.')"
        return f"CASE WHEN {odd} THEN NULL ELSE TRY_CAST({text} AS DOUBLE) END"
