"""choose_columns: which columns of each table are read, by which name of ours, and as what."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torchrec_ext.data.checked import expect_known
from torchrec_ext.data.sources.declaration import ColumnSettings, ColumnSpec, Declaration, TableFile
from torchrec_ext.data.sources.memory_table import KEY, ROW
from torchrec_ext.data.sources.scan import Scan
from torchrec_ext.errors import InputError, nearest

log = logging.getLogger(__name__)

#: The kinds of the columns that mean the same in all tables of events.
EVENT_KINDS = {"user": "id", "item": "id", "timestamp": "time", "rating": "number", "type": "type"}
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
_SETTINGS = ("column", "kind", "needed", "separator", "unit", "width", "values")

Parsed: TypeAlias = dict[str, tuple[str | None, dict[str, Any]]]
"""The table's name of each of our columns, None where it is omitted, and its other settings."""


class ChosenColumns(NamedTuple):
    """A table and its columns to read; ``itemless`` are types of events without an item, None means all."""

    scan: Scan
    file: TableFile
    specs: list[ColumnSpec]
    itemless: Sequence[str] | None = None


def choose_columns(
    opened: Mapping[str, Sequence[tuple[Scan, TableFile]]],
    found: Declaration,
    columns: Mapping[str, ColumnSettings],
) -> dict[str, list[ChosenColumns]]:
    """The columns of the tables of each ``event``, ``user`` and ``item``.

    ``columns`` holds for all tables, before what the declaration says of each.
    """
    given = _parse(columns, "columns")
    elsewhere = {name for entity in ("user", "item") for scan, _ in opened[entity] for name in scan.names}
    specs = [_of_events(scan, file, found, given, elsewhere) for scan, file in opened["event"]]
    there = dict.fromkeys([*(name for scan, _ in opened["event"] for name in scan.names), *sorted(elsewhere)])
    for name, (source, _) in given.items():
        if source is not None and source not in there:
            raise InputError(
                f"no table has a column {source!r}{nearest(source, there)}, which is given as {name}; there "
                f"are {', '.join(there)}"
            )
    with_items = any(spec.name == "item" for table in specs for spec in table)
    chosen: dict[str, list[ChosenColumns]] = {"event": [], "user": [], "item": []}
    for (scan, file), table in zip(opened["event"], specs, strict=True):
        no_type = all(spec.name != "type" for spec in table)
        needless = not with_items or no_type and file.type in found.itemless
        chosen["event"].append(ChosenColumns(scan, file, table, None if needless else found.itemless))
    ids: Parsed = {spec.name: (spec.source, {}) for spec in specs[0] if spec.name in ("user", "item")}
    for entity in ("user", "item"):
        for scan, file in opened[entity]:
            chosen[entity].append(ChosenColumns(scan, file, _of_side(entity, scan, file, ids | given)))
    return chosen


def _of_events(
    scan: Scan, file: TableFile, found: Declaration, columns: Parsed, elsewhere: Collection[str]
) -> list[ColumnSpec]:
    """The columns of a table of events; ``columns`` may name some ``elsewhere`` in side tables."""
    there, where = scan.names, scan.name
    several = len(found.events) > 1
    named = _parse(file.columns, where)
    # of several tables, each need not have what is said of all
    named |= {n: c for n, c in columns.items() if not several or c[0] is None or c[0] in there}
    context = [name for name in found.features.get("context", ()) if name != "timestamp"]
    labels = [name for name in found.labels if name not in context]
    context += labels
    if several:
        context = [name for name in context if name in there or name in named]
    named = {n: c for n, c in named.items() if n in EVENT_KINDS or c[0] in there or c[0] not in elsewhere}
    chosen = {name: source for name, (source, _) in named.items() if source is not None}
    _expect_columns(chosen.values(), there, f"{where} has no column")
    usual = {}
    for name in ALIASES:
        free = [column for column in there if column not in chosen.values()]
        if name not in named and (source := _find_column(name, free)) is not None:
            usual[name] = chosen[name] = source
    needed = ("user",) if file.type in found.itemless else ("user", "item")
    if missing := [name for name in needed if name not in chosen and name not in named]:
        raise InputError(
            f"{where} has no column for {' and '.join(missing)}; it has {', '.join(there)}{_hint(there)}: "
            f"say --columns {' '.join(f'{name}=NAME' for name in missing)} "
            f"(columns={{'{missing[0]}': 'NAME'}})"
        )
    more = {name: name for name in context if name not in chosen}
    _expect_columns(more, there, f"{where} has no context column")
    chosen |= more
    for source in chosen.values():
        names = [name for name, other in chosen.items() if other == source]
        if len(names) > 1:
            raise InputError(f"column {source!r} of {where} is used as {' and '.join(names)}; use it once")
    if others := [f"{source} as {name}" for name, source in usual.items() if name != source]:
        log.info("%s: took %s", where, ", ".join(others))
    needs = {"user", "timestamp"}
    if not several and file.type is None and "type" not in chosen:  # a search has no item, a view no rating
        needs |= {"item", "rating"}
    specs = []
    for name, source in chosen.items():
        _, settings = named.get(name, (source, {}))
        kind = EVENT_KINDS.get(name, "auto")
        if name in EVENT_KINDS and settings.get("kind", kind) != kind:
            raise InputError(
                f"column {name!r} of events is always of kind {kind!r}, received {settings['kind']!r}; leave "
                "the kind out, or give the column another name"
            )
        if name in ("user", "timestamp") and settings.get("needed") is False:
            raise InputError(
                f"column {name!r} is needed in each event, received needed=False; leave that out"
            )
        specs.append(_spec(name, source, {"kind": kind, "needed": name in needs, **settings}))
    return specs


def _of_side(entity: str, scan: Scan, file: TableFile, columns: Parsed) -> list[ColumnSpec]:
    """All columns of a side table but those left out, that of its ids first."""
    own = _parse(file.columns, scan.name)
    _expect_columns(
        [source for source, _ in own.values() if source], scan.names, f"{scan.name} has no column"
    )
    columns = columns | own
    declared, _ = columns.get(entity, (None, {}))
    by_suffix = {".npy": ROW, ".json": KEY}.get(scan.paths[0].suffix if scan.paths else "")
    keys = (declared, _find_column(entity, scan.names), by_suffix)
    key = next((key for key in keys if key is not None and key in scan.names), None)
    if key is None:
        raise InputError(
            f"{scan.name} has no id column of {entity}s; it has {', '.join(scan.names)}: name it as "
            f"--columns {entity}=NAME, or call it {entity!r} there"
        )
    ours = {  # names of columns of events mean nothing here
        source or name: (name if source else "", settings)
        for name, (source, settings) in columns.items()
        if name not in ALIASES or name in own and name != entity
    }
    specs = [ColumnSpec(entity, key, "id", needed=True)]
    for source in dict.fromkeys(scan.names):
        name, settings = ours.get(source, (source, {}))
        if source == key or not name:
            continue
        if name == entity:
            raise InputError(
                f"{scan.name} has a column {entity!r} beside that of the ids, {key!r}; leave one of them out"
            )
        specs.append(_spec(name, source, {"kind": "auto", **settings}))
    return specs


def _parse(columns: Mapping[str, ColumnSettings], where: str) -> Parsed:
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


def _spec(name: str, source: str, settings: Mapping[str, Any]) -> ColumnSpec:
    try:
        return ColumnSpec(name, source, **settings)
    except InputError as error:
        raise InputError(f"column {name!r}: {str(error).removeprefix('ColumnSpec.')}") from None


def _find_column(name: str, there: Sequence[str]) -> str | None:
    """The column of exactly that name, else the first that common usage calls so, in any case."""
    if name in there:
        return name
    lower = {column.lower(): column for column in reversed(there)}
    return next((lower[alias] for alias in (name, *ALIASES[name]) if alias in lower), None)


def _expect_columns(names: Iterable[str], there: Sequence[str], complaint: str) -> None:
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
