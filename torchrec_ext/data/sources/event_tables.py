"""Tables of events, one or several, and side tables: their rows as columns of one table."""

import logging
import mmap
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from tqdm.auto import tqdm

from torchrec_ext.data.sources.column_builder import ColumnBuilder, PlainTable
from torchrec_ext.data.sources.column_spec import EVENT_KINDS, ColumnSpec, Parsed, column_spec, parse_columns
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.data.sources.read_table import Reading, plan, read_batches
from torchrec_ext.data.sources.scan import Scan, Session
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


class ReadColumns(NamedTuple):
    """Columns before the types of their ids are unified, and how many rows were read, rejected ones too."""

    builders: dict[str, ColumnBuilder]
    plain: pa.Table
    rows: int
    mapped: mmap.mmap | None

    def ids(self, entity: str) -> list[Dictionary]:
        """The ids of an entity, in a list; an empty one if there is no such column."""
        return [self.builders[entity].dictionary] if entity in self.builders else []

    def table(self) -> pa.Table:
        """The columns of :class:`~torchrec_ext.data.events.Events`."""
        return pa.table({name: built.finish(self.plain[name]) for name, built in self.builders.items()})


def plan_events(
    session: Session, opened: Sequence[tuple[Scan, TableFile]], found: Declaration, columns: Parsed,
    elsewhere: Collection[str],
) -> list[Reading]:  # fmt: skip
    """Finds out which columns of the tables of events are read, and how."""
    specs = [_choose_columns(scan, file, found, columns, elsewhere) for scan, file in opened]
    there = list(dict.fromkeys([*(name for scan, _ in opened for name in scan.names), *sorted(elsewhere)]))
    for name, (source, _) in columns.items():
        if source is not None and source not in there:
            raise InputError(
                f"no table has a column {source!r}{nearest(source, there)}, which is given as {name}; there "
                f"are {', '.join(there)}"
            )
    with_items = any(spec.name == "item" for table in specs for spec in table)
    tables = []
    for (scan, file), table in zip(opened, specs, strict=True):
        no_type = all(spec.name != "type" for spec in table)
        needless = not with_items or no_type and file.type in found.itemless
        tables.append(plan(session, scan, table, None if needless else found.itemless))
    return tables


def _choose_columns(
    scan: Scan, file: TableFile, found: Declaration, columns: Parsed, elsewhere: Collection[str]
) -> list[ColumnSpec]:
    """The columns to read of a table of events.

    ``columns`` is what the arguments say, of columns ``elsewhere`` in side tables too.
    """
    there, where = scan.names, scan.name
    several = len(found.events) > 1
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
    needed = ("user",) if file.type in found.itemless else ("user", "item")
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
    needs = {"user", "timestamp"}
    if not several and file.type is None and "type" not in chosen:  # a search has no item, a view no rating
        needs |= {"item", "rating"}
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


def read_columns(
    session: Session,
    tables: Sequence[Reading],
    types: Sequence[str | None] = (None,),
    *,
    folder: Path | None = None,
    progress: bool = False,
) -> ReadColumns:
    """Reads tables one after the other; what one has no column for is missing in its rows.

    ``types`` are those of all events of each table, if no column holds it.
    """
    builders = _builders(tables, types)
    plain = PlainTable(pa.schema({name: built.type for name, built in builders.items()}), folder)
    before = session.rejects.total
    with tqdm(desc="reading", unit="row", unit_scale=True, disable=not progress) as bar:
        for table, type in zip(tables, types, strict=True):
            places = {spec.name: n for n, spec in enumerate(table.specs)}
            for batch in read_batches(session, table):
                bar.update(batch.num_rows)
                found = {}
                for name, built in builders.items():
                    if name in places:
                        more = f"m{places[name]}"
                        beside = batch.column(more) if more in batch.schema.names else None
                        found[name] = built.add(batch.column(f"x{places[name]}"), beside, table.scan.text)
                    elif name == "type" and type is not None:
                        found[name] = built.constant(type, batch.num_rows)
                    else:
                        found[name] = built.missing(batch.num_rows)
                plain.add(found)
    whole = plain.finish()
    return ReadColumns(builders, whole, whole.num_rows + session.rejects.total - before, plain.mapped)


def _builders(tables: Sequence[Reading], types: Sequence[str | None]) -> dict[str, ColumnBuilder]:
    """A builder for each column that a table has, those of EVENT_KINDS first."""
    known: dict[str, tuple[ColumnSpec, Reading]] = {}
    for table in tables:
        for spec in table.specs:
            first, other = known.setdefault(spec.name, (spec, table))
            if (first.kind, first.width) != (spec.kind, spec.width):
                raise InputError(
                    f"column {spec.name!r} is of kind {first.kind} in {other.scan.name} and {spec.kind} in "
                    f"{table.scan.name}; declare the same kind for both"
                )
    for name in ("user", "timestamp"):
        lacking = [table.scan.name for table in tables if name not in (spec.name for spec in table.specs)]
        if name in known and lacking:
            raise InputError(
                f"{known[name][1].scan.name} has the column {name!r} and {lacking[0]} has none; name it in "
                "both, or leave it out of both"
            )
    if any(types):
        known.setdefault("type", (ColumnSpec("type", "type", "type"), tables[0]))
    several = " and the tables beside it" if len(tables) > 1 else ""
    builders = {}
    for name in dict.fromkeys((*(name for name in EVENT_KINDS if name in known), *known)):
        spec, table = known[name]
        where = f"column {spec.source!r} of {table.scan.name}{several}"
        builders[name] = ColumnBuilder(spec.kind, spec.width, name in table.undeclared, where)
    return builders
