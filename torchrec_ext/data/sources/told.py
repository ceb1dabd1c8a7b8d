"""What somebody tells of a column: the table's name of it, and settings."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeAlias

from torchrec_ext.data.sources.column_spec import Column
from torchrec_ext.errors import InputError, nearest

Told: TypeAlias = str | Mapping[str, Any] | None
"""A column of a table: its name there, or its name and settings, such as {"column": "ts", "unit": "ms"};
"" or None leaves it out."""

#: What some columns of events always are.
KINDS = {"user": "id", "item": "id", "timestamp": "time", "rating": "number", "type": "type"}
_SETTINGS = sorted({f.name for f in fields(Column)} - {"name", "source"})


def told_column(name: str, told: Told) -> tuple[str | None, dict[str, Any]]:
    """The table's name of a column, None where it is left out, and its settings.

    Args:
        name: our name, which is the table's too where settings name no other.
        told: what was told.

    Raises:
        InputError: for a setting there is not, or what is neither a name nor settings.

    Example:
        >>> told_column("timestamp", {"column": "ts", "unit": "ms"}), told_column("rating", "")
        (('ts', {'unit': 'ms'}), (None, {}))
    """
    if not isinstance(told, Mapping):
        source, settings = told, {}
    else:
        source = told.get("column", name)
        settings = {key: value for key, value in told.items() if key != "column"}
    if source is not None and not isinstance(source, str):
        raise InputError(
            f"column {name!r} is told as {source!r}; name the table's column as a string, or give settings "
            f"such as {{'column': 'NAME', 'kind': 'number'}}"
        )
    for key in settings:
        if key not in _SETTINGS:
            raise InputError(
                f"column {name!r} has no setting {key!r}{nearest(str(key), ['column', *_SETTINGS])}; there "
                f"are column, {', '.join(_SETTINGS)}"
            )
    return source or None, settings


def expect_names(columns: object, what: str) -> None:
    """Refuses columns that are no names with what is told of each."""
    if not isinstance(columns, Mapping) or not all(isinstance(name, str) for name in columns):
        raise InputError(
            f"{what} should be our names with the table's, such as {{'user': 'uid'}}, received {columns!r}"
        )


def event_column(name: str, source: str, settings: Mapping[str, Any], *, needed: bool) -> Column:
    """A column of events, of the kind that its name or its settings say.

    Args:
        name: our name.
        source: the table's name.
        settings: of :class:`Column`.
        needed: whether an event without it is bad, unless the settings say.

    Raises:
        InputError: if a user, an item, a time, a rating or a type is told to be of another kind, or if users
            or times are told to be dispensable.
    """
    kind = KINDS.get(name)
    told = settings.get("kind", kind)
    if kind is not None and told != kind:
        raise InputError(
            f"column {name!r} of events is always of kind {kind!r}, received {told!r}; leave the kind out, "
            "or give the column another name"
        )
    if name in ("user", "timestamp") and settings.get("needed", True) is False:
        raise InputError(
            f"column {name!r} is needed in each event, received needed=False; leave the column out, or needed"
        )
    return Column(name, source, **{"kind": told or "auto", "needed": needed, **settings})


def side_column(name: str, source: str, settings: Mapping[str, Any]) -> Column:
    """A column of a side table, of the kind that its settings say."""
    return Column(name, source, **{"kind": "auto", **settings})
