"""Event tables, one or several, and side tables: their rows as columns of one table."""

import mmap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
from tqdm.auto import tqdm

from torchrec_ext.data.sources.choose_columns import choose_columns
from torchrec_ext.data.sources.column_builder import ColumnBuilder, PlainTable
from torchrec_ext.data.sources.column_spec import EVENT_KINDS, ColumnSpec, parse_columns
from torchrec_ext.data.sources.declaration import Declaration, TableFile
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.data.sources.read_table import Reading, plan, read_batches
from torchrec_ext.data.sources.scan import Scan, Session
from torchrec_ext.errors import InputError, nearest

FIRST = ("user", "item", "timestamp", "rating", "type")
"""The columns that stand before all others."""

Parsed = Mapping[str, tuple[str | None, Mapping[str, Any]]]
"""What ``parse_columns`` returns."""


class ReadColumns(NamedTuple):
    """Columns as they were read, before the types of ids are unified.

    Args:
        builders: of each column, by our names.
        plain: the rows in their plain form.
        rows: rows read, the rejected ones among them.
        mapped: the file that the plain form is mapped from, or None.
    """

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
    context: Sequence[str], elsewhere: set[str],
) -> list[Reading]:  # fmt: skip
    """Finds out which columns of the tables of events are read, and how.

    Args:
        session: of this read.
        opened: T tables.
        found: the data set they belong to.
        columns: what the arguments say of them.
        context: columns that a model may use.
        elsewhere: columns of side tables, which ``columns`` may name as well.

    Raises:
        InputError: if a column is not there, or does not hold what it should.
    """
    specs = [_columns(scan, file, found, columns, context, elsewhere) for scan, file in opened]
    names = [name for scan, _ in opened for name in scan.names]
    there = list(dict.fromkeys([*names, *sorted(elsewhere)]))
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


def read_columns(
    session: Session,
    tables: Sequence[Reading],
    types: Sequence[str | None] = (None,),
    *,
    folder: Path | None = None,
    progress: bool = False,
) -> ReadColumns:
    """Reads tables one after the other; what one has no column for is missing in its rows.

    Args:
        session: of this read.
        tables: T tables.
        types: of each, the type of all its events, if no column holds it.
        folder: where the columns are kept; None keeps them in memory.
        progress: shows how many rows were read.

    Raises:
        InputError: if a file cannot be read or is without rows, if tables disagree about a column's kind, or
            if one has users or times and another has none.
    """
    builders = _builders(tables, types)
    plain = PlainTable(pa.schema({name: built.type for name, built in builders.items()}), folder)
    before, bar = (
        session.rejects.total,
        tqdm(desc="reading", unit="row", unit_scale=True, disable=not progress),
    )
    for table, type in zip(tables, types, strict=True):
        places = {spec.name: n for n, spec in enumerate(table.specs)}
        for batch in read_batches(session, table):
            bar.update(batch.num_rows)
            found = {}
            for name, built in builders.items():
                if name in places:
                    values, beside = f"x{places[name]}", f"m{places[name]}"
                    more = batch.column(beside) if beside in batch.schema.names else None
                    found[name] = built.add(batch.column(values), more, table.scan.text)
                elif name == "type" and type is not None:
                    found[name] = built.constant(type, batch.num_rows)
                else:
                    found[name] = built.missing(batch.num_rows)
            plain.add(found)
    bar.close()
    whole = plain.finish()
    return ReadColumns(builders, whole, whole.num_rows + session.rejects.total - before, plain.mapped)


def _columns(
    scan: Scan,
    file: TableFile,
    found: Declaration,
    columns: Parsed,
    context: Sequence[str],
    elsewhere: set[str],
) -> list[ColumnSpec]:
    """The columns of a table of events that are read."""
    several = len(found.events) > 1
    named = parse_columns(file.columns, scan.name)
    for name, column in columns.items():
        # what is declared for all tables need not be in each
        if not several or column[0] is None or column[0] in scan.names:
            named[name] = column  # type: ignore[assignment]
    if several:
        context = [name for name in context if name in scan.names or name in named]
    own = {n: c for n, c in named.items() if n in EVENT_KINDS or c[0] not in elsewhere - set(scan.names)}
    return choose_columns(
        scan.names, own, context, scan.name,
        itemless=file.type in found.itemless, incomplete=several or file.type is not None,
    )  # fmt: skip


def _builders(tables: Sequence[Reading], types: Sequence[str | None]) -> dict[str, ColumnBuilder]:
    """A builder for each column that a table has."""
    known: dict[str, tuple[ColumnSpec, Reading]] = {}
    for table in tables:
        for spec in table.specs:
            first, other = known.setdefault(spec.name, (spec, table))
            if (first.kind, first.width) == (spec.kind, spec.width):
                continue
            if spec.name in table.undeclared:
                kind = table.scan.types[table.scan.names.index(spec.source)]
                raise InputError(
                    f"column {first.source!r} of {other.scan.name} and the tables beside it holds values of "
                    f"type {kind} beside others; declare its kind: category, categories, number or vector"
                )
            raise InputError(
                f"column {spec.name!r} is of kind {first.kind} in {other.scan.name} and {spec.kind} in "
                f"{table.scan.name}; declare the same kind for both"
            )
    if any(type is not None for type in types):
        known.setdefault("type", (ColumnSpec("type", "type", "type"), tables[0]))
    for name in ("user", "timestamp"):
        lacking = [table.scan.name for table in tables if name not in (spec.name for spec in table.specs)]
        if name in known and lacking:
            raise InputError(
                f"{known[name][1].scan.name} has the column {name!r} and {lacking[0]} has none; name it in "
                "both, or leave it out of both"
            )
    several = "" if len(tables) == 1 else " and the tables beside it"
    builders = {}
    for name in dict.fromkeys((*(name for name in FIRST if name in known), *known)):
        spec, table = known[name]
        where = f"column {spec.source!r} of {table.scan.name}{several}"
        builders[name] = ColumnBuilder(spec.kind, spec.width, name in table.undeclared, where)
    return builders
