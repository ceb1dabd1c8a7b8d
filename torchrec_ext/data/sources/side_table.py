"""Side tables: one row of features for each user or item, joined by their id."""

import logging
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.columns import as_series, codes_of
from torchrec_ext.data.shown import shown
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.dictionary import Dictionary
from torchrec_ext.data.sources.read_columns import ReadColumns
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


class SideTable(NamedTuple):
    """A side table of users or items as read, before the types of its ids and those of the events agree."""

    entity: str
    name: str
    gather: bool
    columns: ReadColumns

    @property
    def ids(self) -> Dictionary:
        """The ids of its rows."""
        return self.columns.builders[self.entity].dictionary

    def frame(self) -> pd.DataFrame:
        """The table with its ids, each once, as first column."""
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


def joined(tables: Sequence[SideTable], entity: str) -> pd.DataFrame | None:
    """The tables of one entity side by side, each id once; None for none."""
    whole, *others = [table.frame() for table in tables if table.entity == entity] or [None]
    for frame in others:
        if twice := [name for name in frame if name in whole and name != entity]:
            raise InputError(f"two tables of {entity}s have a column {twice[0]!r}; rename one")
        left, right = (  # Int64 stays whole beside missing values
            table.astype(dict.fromkeys(table.drop(columns=entity).select_dtypes("integer"), "Int64"))
            for table in (whole, frame)
        )
        whole = left.merge(right, on=entity, how="outer", sort=False)
    return whole


def match_sides(sides: Sequence[SideTable], events: ReadColumns) -> list[SideMatch]:
    """Counts the ids of the events that have a row in each side table, and warns if that is less than half.

    Rows whose id does not occur in the events do not count: a catalogue may be larger than a log.
    """
    matches = []
    for side in sides:
        if side.entity not in events.builders:
            continue
        ids = pd.Index(events.builders[side.entity].dictionary.words.to_pandas())
        rows = pd.Index(side.ids.words.to_pandas())
        there = ids.isin(rows)
        found = SideMatch(side.name, side.entity, matched=int(there.sum()), ids=len(ids))
        matches.append(found)
        if not found.ids:
            continue
        if not found.matched:
            example = f", {shown(rows[0])} in the table" if len(rows) else ""
            raise InputError(
                f"{side.name} has a row for none of the {found.ids:,} {side.entity}s of the events; expected "
                f"the same ids, received {shown(ids[0])} in the events{example}; write them alike, or leave "
                "the table out"
            )
        log.info("%s", found)
        if found.matched * 2 < found.ids:
            warnings.warn(
                f"{found} of the events ({found.matched / found.ids:.1%}); the features of the others, such "
                f"as {shown(ids[~there][0])}, are missing: check that both write ids alike",
                stacklevel=4,  # the caller of read_events, whose calls are recorded
            )
    return matches
