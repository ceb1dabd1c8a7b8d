"""ColumnSpec: what one column of a table holds, and the settings that say so."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from torchrec_ext.data.checked import checked, expect_known
from torchrec_ext.errors import InputError

Kind = Literal["id", "category", "categories", "number", "vector", "time", "type", "auto"]
Unit = Literal["s", "ms", "us", "ns"]
Word = Annotated[str, Field(min_length=1)]

ColumnSettings: TypeAlias = str | Mapping[str, Any] | None
"""The table's name of a column, or settings such as {"column": "ts", "unit": "ms"}; "" or None omits it."""
Parsed: TypeAlias = dict[str, tuple[str | None, dict[str, Any]]]
"""The table's name of each of our columns, None where it is omitted, and its other settings."""

#: The kinds of the columns that mean the same in all tables of events.
EVENT_KINDS = {"user": "id", "item": "id", "timestamp": "time", "rating": "number", "type": "type"}
_SETTINGS = ("column", "kind", "needed", "separator", "unit", "width", "values")


@checked
class ColumnSpec:
    """What one column of a table holds: our name of it, the table's name, and its settings."""

    name: Word
    source: Word
    kind: Kind  # auto: as its values show
    needed: bool = False  # whether a row without it is rejected
    separator: Word = "|"  # between the values of a list that is text
    unit: Unit | None = None  # of times that are numbers; None finds it in a sample
    width: Annotated[int, Field(ge=1)] | None = None  # of vectors
    # the table's types of event to ours; other types are rejected
    values: Annotated[Mapping[str, str], Field(min_length=1)] | None = None

    def __post_init__(self) -> None:
        for setting, kind in (("unit", "time"), ("width", "vector"), ("values", "type")):
            if getattr(self, setting) is not None and self.kind != kind:
                raise InputError(
                    f"column {self.name!r} of kind {self.kind!r} has a {setting}, which is for kind {kind!r} "
                    "only; leave it out"
                )
        if self.kind == "vector" and self.width is None:
            raise InputError(f"column {self.name!r} of kind 'vector' has no width; set it, such as width=64")


def parse_columns(columns: Mapping[str, ColumnSettings], where: str) -> Parsed:
    """Our names with the table's or with settings, taken apart; ``where`` names the argument in messages."""
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        raise InputError(
            f"{where} should be our names with the table's, such as {{'user': 'uid'}}, received {columns!r}"
        )
    parsed: Parsed = {}
    for name, given in columns.items():
        settings = dict(given) if isinstance(given, Mapping) else {"column": given}
        expect_known(settings, _SETTINGS, f"column {name!r}")
        source = settings.pop("column", name)
        if source is not None and not isinstance(source, str):
            raise InputError(
                f"column {name!r} should be the table's name of it, or settings such as {{'column': 'NAME', "
                f"'kind': 'number'}}, received {source!r}"
            )
        parsed[name] = (source or None, settings)
    return parsed


def column_spec(
    name: str, source: str, settings: Mapping[str, Any], *, needed: bool = False, event: bool = False
) -> ColumnSpec:
    """A column from settings; without a kind it is ``auto``, or of an event what its name implies."""
    kind = EVENT_KINDS.get(name) if event else None
    if kind is not None and settings.get("kind", kind) != kind:
        raise InputError(
            f"column {name!r} of events is always of kind {kind!r}, received {settings['kind']!r}; leave the "
            "kind out, or give the column another name"
        )
    if event and name in ("user", "timestamp") and settings.get("needed") is False:
        raise InputError(f"column {name!r} is needed in each event, received needed=False; leave that out")
    try:
        return ColumnSpec(name, source, **{"kind": kind or "auto", "needed": needed, **settings})
    except InputError as error:
        raise InputError(f"column {name!r}: {str(error).removeprefix('ColumnSpec.')}") from None
