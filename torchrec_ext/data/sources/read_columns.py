"""read_columns: the rows of one or several tables as the columns of one."""

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from tqdm.auto import tqdm

from torchrec_ext.data.sources.choose_columns import EVENT_KINDS, ChosenColumns
from torchrec_ext.data.sources.column_builder import ColumnBuilder, PlainTable
from torchrec_ext.data.sources.declaration import ColumnSpec
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.data.sources.read_table import Reading, plan, read_batches
from torchrec_ext.data.sources.scan import Session
from torchrec_ext.errors import InputError


class ReadColumns(NamedTuple):
    """Columns before the types of their ids are unified, and how many rows were read, rejected ones too."""

    tables: Sequence[ChosenColumns]
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


def read_columns(
    session: Session, chosen: Sequence[ChosenColumns], folder: Path | None = None, progress: bool = False
) -> ReadColumns:
    """Reads tables one after the other; what one has no column for is missing in its rows."""
    tables = [plan(session, table.scan, table.specs, table.itemless) for table in chosen]
    types = [table.file.type for table in chosen]
    builders = _builders(tables, types)
    plain = PlainTable(pa.schema({name: built.type for name, built in builders.items()}), folder)
    before = session.rejects.total
    with tqdm(desc="reading", unit="row", unit_scale=True, disable=not progress) as bar:
        for table, type in zip(tables, types, strict=True):
            places = {spec.name: n for n, spec in enumerate(table.specs)}
            for batch in read_batches(session, table):
                bar.update(batch.num_rows)
                values = dict(zip(batch.schema.names, batch.columns, strict=True))
                found = {}
                for name, built in builders.items():
                    if (n := places.get(name)) is not None:
                        found[name] = built.add(values[f"x{n}"], values.get(f"m{n}"), table.scan.text)
                    elif name == "type" and type is not None:
                        found[name] = built.constant(type, batch.num_rows)
                    else:
                        found[name] = built.missing(batch.num_rows)
                plain.add(found)
    whole = plain.finish()
    return ReadColumns(chosen, builders, whole, whole.num_rows + session.rejects.total - before, plain.mapped)


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
