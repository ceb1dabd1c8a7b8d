"""Which column of a table of events holds what: as declared, by its exact name, or by a common other name."""

import logging
from collections.abc import Collection, Iterable, Sequence

from torchrec_ext.data.sources.column_spec import EVENT_KINDS, ColumnSpec, Parsed, column_spec, parse_columns
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.scan import Scan
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
    scan: Scan, file: TableFile, found: Declaration, columns: Parsed, elsewhere: Collection[str]
) -> list[ColumnSpec]:
    """The columns to read of a table of events.

    ``columns`` is what the arguments say, of columns ``elsewhere`` in side tables too.
    """
    there, where = scan.names, scan.name
    several, itemless = len(found.events) > 1, file.type in found.itemless
    named = parse_columns(file.columns, where)
    # of several tables, each need not have what is said of all
    named |= {n: c for n, c in columns.items() if not several or c[0] is None or c[0] in there}
    context = [name for name in found.features.get("context", ()) if name != "timestamp"]
    if several:
        context = [name for name in context if name in there or name in named]
    named = {n: c for n, c in named.items() if n in EVENT_KINDS or c[0] in there or c[0] not in elsewhere}
    chosen = {name: source for name, (source, _) in named.items() if source is not None}
    expect_columns(chosen.values(), there, f"{where} has no column")
    usual = {}
    for name in ALIASES:
        free = [column for column in there if column not in chosen.values()]
        if name not in named and (source := find_column(name, free)) is not None:
            usual[name] = chosen[name] = source
    needed = ("user",) if itemless else ("user", "item")
    if missing := [name for name in needed if name not in chosen and name not in named]:
        raise InputError(
            f"{where} has no column for {' and '.join(missing)}; it has {', '.join(there)}{_hint(there)}: "
            f"say --columns {' '.join(f'{name}=NAME' for name in missing)} "
            f"(columns={{'{missing[0]}': 'NAME'}})"
        )
    more = {name: name for name in context if name not in chosen}
    expect_columns(more, there, f"{where} has no context column")
    chosen |= more
    for source in chosen.values():
        names = [name for name, other in chosen.items() if other == source]
        if len(names) > 1:
            raise InputError(f"column {source!r} of {where} is used as {' and '.join(names)}; use it once")
    if others := [f"{source} as {name}" for name, source in usual.items() if name != source]:
        log.info("%s: took %s", where, ", ".join(others))
    incomplete = (
        several or file.type is not None or "type" in chosen
    )  # searches have no item, views no rating
    dispensable = ("type", "item", "rating") if incomplete else ("type",)
    needs = [name for name in EVENT_KINDS if name not in dispensable]
    settings = {name: more for name, (_, more) in named.items()}
    return [
        column_spec(name, source, settings.get(name, {}), needed=name in needs, event=True)
        for name, source in chosen.items()
    ]


def find_column(name: str, there: Sequence[str]) -> str | None:
    """The column of exactly that name, else the first that common usage calls so, in any case."""
    if name in there:
        return name
    lower = {column.lower(): column for column in reversed(there)}
    return next((lower[alias] for alias in (name, *ALIASES[name]) if alias in lower), None)


def expect_columns(names: Iterable[str], there: Sequence[str], complaint: str) -> None:
    """Refuses the first name that is not there, with the nearest."""
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
