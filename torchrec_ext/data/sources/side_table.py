"""Side tables: one row of features for each user or item, joined by their id."""

import logging
import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.columns import as_series, codes_of
from torchrec_ext.data.shown import shown
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.choose_columns import ALIASES, find_column
from torchrec_ext.data.sources.column_spec import ColumnSettings, ColumnSpec, column_spec, parse_columns
from torchrec_ext.data.sources.declaration import TableFile
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.data.sources.event_tables import ReadColumns, read_columns
from torchrec_ext.data.sources.memory_table import KEY, ROW
from torchrec_ext.data.sources.read_table import plan
from torchrec_ext.data.sources.scan import Scan, Session
from torchrec_ext.errors import InputError, nearest

Columns: TypeAlias = Mapping[str, ColumnSettings]
log = logging.getLogger(__name__)


class SideTable(NamedTuple):
    """A side table as read, before the types of its ids and of those of the events are unified.

    Args:
        entity: ``user`` or ``item``.
        columns: its columns, that of the ids, named after the entity, first.
        name: of the table, in messages.
        gather: whether an id may have several rows, whose values become lists.
    """

    entity: str
    columns: ReadColumns
    name: str
    gather: bool

    @property
    def ids(self) -> Dictionary:
        """The ids of its rows."""
        return self.columns.builders[self.entity].dictionary

    def frame(self) -> pd.DataFrame:
        """The table with its ids as first column.

        Raises:
            InputError: if an id stands twice.
        """
        table = self.columns.table()
        frame = pd.DataFrame({name: as_series(table[name]) for name in table.column_names})
        if self.gather:
            listed = next((f.name for f in table.schema if pa.types.is_nested(f.type)), None)
            if listed is not None:
                raise InputError(
                    f"column {listed!r} of {self.name} holds lists; gather lays single values side by side, "
                    "leave it out"
                )
            return frame.groupby(self.entity, sort=False).agg(list).reset_index()
        twice = pd.Series(codes_of(table[self.entity])).duplicated().to_numpy()
        if twice.any():
            which = shown(frame[self.entity][twice.argmax()])
            raise InputError(f"{self.entity} {which} stands twice in {self.name}; keep one row each")
        return frame


def read_side_table(
    session: Session, entity: str, scan: Scan, file: TableFile, columns: Columns
) -> SideTable:
    """Reads the columns of a side table, all but those that are left out.

    Args:
        session: of this read.
        entity: ``user`` or ``item``.
        scan: a table with the entity's id column, called as in the events, or by its usual names.
        file: its declaration.
        columns: our names to the tables' names, of the events too.

    Raises:
        InputError: if there is no id column, or no column that was declared.
    """
    for source, _ in parse_columns(file.columns, scan.name).values():
        if source is not None and source not in scan.names:
            raise InputError(
                f"{scan.name} has no column {source!r}{nearest(source, scan.names)}; it has "
                f"{', '.join(scan.names)}"
            )
    specs = _columns(entity, scan, file, parse_columns({**columns, **file.columns}, scan.name))
    return SideTable(
        entity, read_columns(session, [plan(session, scan, specs, None)]), scan.name, file.gather
    )


def joined(tables: Sequence[SideTable], entity: str) -> pd.DataFrame | None:
    """Side tables of one entity side by side, each id once; None for none.

    Raises:
        InputError: if an id stands twice in one, or two have a column of one name.
    """
    if not tables:
        return None
    whole = tables[0].frame()
    for frame in (table.frame() for table in tables[1:]):
        twice = [c for c in frame.columns if c in whole.columns and c != entity]
        if twice:
            raise InputError(f"two tables of {entity}s have a column {twice[0]!r}; rename one")
        whole = _with_gaps(whole, entity).merge(_with_gaps(frame, entity), on=entity, how="outer", sort=False)
    return whole


def side_match(entity: str, events: Dictionary, side: SideTable) -> SideMatch:
    """Counts the ids of the events that have a row in a side table, and warns if that is less than half.

    Rows of the table whose id does not occur in the events do not count: a catalogue may be larger than a
    log.

    Args:
        entity: ``user`` or ``item``.
        events: the ids of the events.
        side: the side table; its ids and those of the events are of one type.

    Raises:
        InputError: if there are events and none of their ids has a row.
    """
    ids, rows = pd.Index(events.words.to_pandas()), pd.Index(side.ids.words.to_pandas())
    there = ids.isin(rows)
    found = SideMatch(side.name, entity, matched=int(there.sum()), ids=len(ids))
    if not found.ids:
        return found
    if not found.matched:
        example = f"{shown(ids[0])} in the events" + (f", {shown(rows[0])} in the table" if len(rows) else "")
        raise InputError(
            f"{side.name} has a row for none of the {found.ids:,} {entity}s of the events; expected the same "
            f"ids, received {example}; write them alike, or leave the table out"
        )
    log.info("%s", found)
    if found.matched * 2 < found.ids:
        warnings.warn(
            f"{found} of the events ({found.matched / found.ids:.1%}); the features of the others, such as "
            f"{shown(ids[~there][0])}, are missing: check that both write ids alike",
            stacklevel=4,  # the caller of read_events, whose calls are recorded
        )
    return found


def _columns(
    entity: str, scan: Scan, file: TableFile, columns: Mapping[str, tuple[str | None, dict]]
) -> list[ColumnSpec]:
    """The columns that are read, that of the ids first."""
    key = _key(entity, scan, columns)
    ours: dict[str, tuple[str, dict]] = {}
    for name, (source, settings) in columns.items():
        if name not in ALIASES or name in file.columns and name != entity:
            ours[source or name] = (name if source else "", settings)
    specs = [ColumnSpec(entity, key, "id", needed=True)]
    for source in dict.fromkeys(scan.names):
        name, settings = ours.get(source, (source, {}))
        if source == key or not name:
            continue
        if name == entity:
            raise InputError(
                f"{scan.name} has a column {entity!r} beside that of the ids, {key!r}; leave one of them out"
            )
        specs.append(column_spec(name, source, settings))
    return specs


def _key(entity: str, scan: Scan, columns: Mapping[str, tuple[str | None, dict]]) -> str:
    declared, _ = columns.get(entity, (None, {}))
    key = declared if declared in scan.names else find_column(entity, scan.names)
    by_suffix = {".npy": ROW, ".json": KEY}.get(scan.paths[0].suffix if scan.paths else "")
    if key is None and by_suffix in scan.names:
        key = by_suffix
    if key is None:
        raise InputError(
            f"{scan.name} has no id column of {entity}s; it has {', '.join(scan.names)}: name it as "
            f"--columns {entity}=NAME, or call it {entity!r} there"
        )
    return key


def _with_gaps(frame: pd.DataFrame, entity: str) -> pd.DataFrame:
    """Integers as pandas' ``Int64``, which stay integers beside missing ones."""
    whole = [c for c in frame.columns if c != entity and pd.api.types.is_integer_dtype(frame[c].dtype)]
    return frame.astype(dict.fromkeys(whole, "Int64"))
