"""Side tables: one row of features for each user or item."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import as_series, holds_lists
from torchrec_ext.data.reading.accumulate import WordsColumn, accumulator
from torchrec_ext.data.reading.open_side import KEY, ROW
from torchrec_ext.data.reading.open_table import OpenTable
from torchrec_ext.data.reading.read_blocks import read_blocks
from torchrec_ext.data.reading.rejects import Rejects
from torchrec_ext.data.shown import shown
from torchrec_ext.data.sources.choose_columns import ALIASES, find_column
from torchrec_ext.data.sources.column_spec import ColumnSettings, ColumnSpec, column_spec, parse_columns
from torchrec_ext.data.sources.declaration import TableFile
from torchrec_ext.errors import InputError, nearest


@dataclass(frozen=True, eq=False)
class SideTable:
    """A side table as read, before its ids and those of the events are made one kind.

    Args:
        entity: ``user`` or ``item``.
        ids: the ids of its rows.
        features: the other columns, a row each.
        name: of the table, in messages.
        gather: whether an id may have several rows, whose values become lists.
        rows: rows read, those set aside among them.
    """

    entity: str
    ids: WordsColumn
    features: Mapping[str, pd.Series]
    name: str
    gather: bool
    rows: int

    def frame(self) -> pd.DataFrame:
        """The table with its ids as first column, named after the entity.

        Raises:
            InputError: if an id stands twice.
        """
        codes, words = self.ids.codes(), self.ids.words.finish()
        frame = pd.DataFrame({self.entity: words[codes], **self.features})
        if self.gather:
            listed = next((name for name, values in self.features.items() if holds_lists(values)), None)
            if listed is not None:
                raise InputError(
                    f"column {listed!r} of {self.name} holds lists; gather lays single values side by side, "
                    "leave it out"
                )
            return frame.groupby(self.entity, sort=False).agg(list).reset_index()
        twice = pd.Series(codes).duplicated().to_numpy()
        if twice.any():
            which = shown(words[codes[np.argmax(twice)]])
            raise InputError(f"{self.entity} {which} stands twice in {self.name}; keep one row each")
        return frame


def read_side_table(
    entity: str, table: OpenTable, file: TableFile, columns: Mapping[str, ColumnSettings], rejects: Rejects
) -> SideTable:
    """Reads the columns of a side table, all but those that are told to be left out.

    Args:
        entity: ``user`` or ``item``.
        table: one with the entity's id column, called as in the events, or by its usual names.
        file: what was declared of it.
        columns: our names to the tables' names, of the events too.
        rejects: takes the bad rows.

    Raises:
        InputError: if there is no id column, or no column that was declared.
    """
    for source, _ in parse_columns(file.columns, table.name).values():
        if source is not None and source not in table.columns:
            raise InputError(
                f"{table.name} has no column {source!r}{nearest(source, table.columns)}; it has "
                f"{', '.join(table.columns)}"
            )
    told = parse_columns({**columns, **file.columns}, table.name)
    key = _key(entity, table, told)
    ours: dict[str, tuple[str, dict]] = {}
    for name, (source, settings) in told.items():
        if name not in ALIASES or name in file.columns and name != entity:
            ours[source or name] = (name if source else "", settings)
    declared = [ColumnSpec(entity, key, "id", needed=True)]
    for source in dict.fromkeys(table.columns):
        name, settings = ours.get(source, (source, {}))
        if source == key or not name:
            continue
        if name == entity:
            raise InputError(
                f"{table.name} has a column {entity!r} beside that of the ids, {key!r}; leave one of them out"
            )
        declared.append(column_spec(name, source, settings))
    columns_read = [accumulator(c, f"column {c.source!r} of {table.name}", None) for c in declared]
    rows = -rejects.total
    for block in read_blocks(table, declared, rejects):
        rows += len(block.lines)
        for column, found in zip(declared, columns_read, strict=True):
            found.add(block.rows.column(column.name), table.text)
    ids = columns_read[0]
    assert isinstance(ids, WordsColumn)
    features = {
        column.name: as_series(found.finish())
        for column, found in zip(declared[1:], columns_read[1:], strict=True)
    }
    return SideTable(entity, ids, features, table.name, file.gather, rows + rejects.total)


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


def _with_gaps(frame: pd.DataFrame, entity: str) -> pd.DataFrame:
    """Integers as pandas' ``Int64``, which stay integers beside missing ones."""
    whole = [c for c in frame.columns if c != entity and pd.api.types.is_integer_dtype(frame[c].dtype)]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def _key(entity: str, table: OpenTable, columns: Mapping[str, tuple[str | None, Mapping]]) -> str:
    told, _ = columns.get(entity, (None, {}))
    key = told if told in table.columns else find_column(entity, table.columns)
    if key is None and ROW in table.columns and table.path is not None and table.path.suffix == ".npy":
        key = ROW
    if key is None and KEY in table.columns and table.path is not None and table.path.suffix == ".json":
        key = KEY
    if key is None:
        raise InputError(
            f"{table.name} has no id column of {entity}s; it has {', '.join(table.columns)}: name it as "
            f"--columns {entity}=NAME, or call it {entity!r} there"
        )
    return key
