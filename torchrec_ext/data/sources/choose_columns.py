"""Which column of a table of events holds what: as declared, by its exact name, or by a common other name."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torchrec_ext.data.sources.column_spec import EVENT_KINDS, ColumnSpec, column_spec
from torchrec_ext.errors import InputError, nearest

log = logging.getLogger(__name__)

#: Our names of what an event has, and what other people call them, most likely first.
ALIASES = {
    "user": ("user_id", "userid", "uid", "customer_id", "visitorid", "reviewerid", "session_id", "sessionid"),
    "item": (
        "item_id", "itemid", "iid", "movie_id", "movieid", "product_id", "productid", "sku", "asin",
        "article_id", "video_id", "track_id", "book_id",
    ),
    "timestamp": ("time", "ts", "unix_timestamp", "unixreviewtime", "datetime", "event_time", "date"),
    "rating": ("ratings", "stars", "overall"),
    "type": ("event_type", "eventtype", "behavior_type", "behaviour_type", "action_type"),
}  # fmt: skip


def choose_columns(
    there: Sequence[str],
    columns: Mapping[str, tuple[str | None, Mapping[str, Any]]],
    context: Sequence[str],
    where: str,
    *,
    itemless: bool = False,
    incomplete: bool = False,
) -> list[ColumnSpec]:
    """The columns to read of a table of events.

    Args:
        there: the table's columns.
        columns: what was declared, from ``parse_columns``; None for a source omits a column.
        context: our names of further columns to read.
        where: names the table in messages.
        itemless: whether the events need no item, as searches do not.
        incomplete: whether a row without an item or a rating may be an event, as it is among several types.

    Raises:
        InputError: if a column is not there, with those that are and how to name them, or is used twice.

    Example:
        >>> columns = {"rating": (None, {}), "timestamp": ("t", {"unit": "ms"})}
        >>> for column in choose_columns(["uid", "sku", "stars", "t"], columns, [], "shop.csv"):
        ...     print(column.name, column.source, column.kind, column.unit)
        timestamp t time ms
        user uid id None
        item sku id None
    """
    chosen = {name: source for name, (source, _) in columns.items() if source is not None}
    _expect_columns(chosen.values(), there, f"{where} has no column")
    found = {}
    for name in ALIASES:
        free = [column for column in there if column not in chosen.values()]
        if name not in columns and (source := find_column(name, free)) is not None:
            found[name] = chosen[name] = source
    needed = ("user",) if itemless else ("user", "item")
    if missing := [name for name in needed if name not in chosen and name not in columns]:
        raise InputError(
            f"{where} has no column for {' and '.join(missing)}; it has {', '.join(there)}{_hint(there)}: "
            f"say --columns {' '.join(f'{name}=NAME' for name in missing)} "
            f"(columns={{'{missing[0]}': 'NAME'}})"
        )
    more = [name for name in context if name not in chosen]
    _expect_columns(more, there, f"{where} has no context column")
    chosen |= dict(zip(more, more, strict=True))
    for source in chosen.values():
        names = [name for name, other in chosen.items() if other == source]
        if len(names) > 1:
            raise InputError(f"column {source!r} of {where} is used as {' and '.join(names)}; use it once")
    if others := [f"{source} as {name}" for name, source in found.items() if name != source]:
        log.info("%s: took %s", where, ", ".join(others))
    dispensable = ("type", "item", "rating") if incomplete or "type" in chosen else ("type",)
    return [
        column_spec(
            name,
            source,
            columns[name][1] if name in columns else {},
            needed=name in EVENT_KINDS and name not in dispensable,
            event=True,
        )  # fmt: skip
        for name, source in chosen.items()
    ]


def find_column(name: str, there: Sequence[str]) -> str | None:
    """The column of exactly that name, else the first that common usage calls so, in any case."""
    if name in there:
        return name
    lower = {column.lower(): column for column in reversed(there)}
    return next((lower[alias] for alias in (name, *ALIASES[name]) if alias in lower), None)


def _expect_columns(names: Iterable[str], there: Sequence[str], complaint: str) -> None:
    for name in names:
        if name not in there:
            raise InputError(f"{complaint} {name!r}{nearest(name, there)}; it has {', '.join(there)}")


def _hint(there: Sequence[str]) -> str:
    """Which setting is probably wrong, if the columns are those of another delimiter or of a first row."""
    if len(there) == 1:
        mark = next((mark for mark in ("::", "\t", ";", "|", ",") if mark in there[0]), None)
        return f" (are its fields separated by {mark!r}? set delimiter={mark!r}, --delimiter)" if mark else ""
    data = any(column.replace(".", "").isdigit() for column in there)
    return " (is its first line a row? name the columns in header=[...], --header)" if data else ""
