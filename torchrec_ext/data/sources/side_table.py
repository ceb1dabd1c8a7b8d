"""Side tables: one row of features for each user or item, joined by their id."""

import logging
import warnings
from collections.abc import Sequence

import pandas as pd
import pyarrow as pa

from torchrec_ext.data.as_written import shown
from torchrec_ext.data.columns import as_series, codes_of
from torchrec_ext.data.source import SideMatch
from torchrec_ext.data.sources.read_columns import ReadColumns
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


def join(sides: Sequence[ReadColumns], entity: str) -> pd.DataFrame | None:
    """The side tables of an entity beside each other, each id once, in the first column; None for none."""
    whole, *others = [_frame(side, entity) for side in sides] or [None]
    for frame in others:
        if twice := [name for name in frame if name in whole and name != entity]:
            raise InputError(f"two tables of {entity}s have a column {twice[0]!r}; rename one")
        left, right = (  # Int64 stays whole beside missing values
            table.astype(dict.fromkeys(table.drop(columns=entity).select_dtypes("integer"), "Int64"))
            for table in (whole, frame)
        )
        whole = left.merge(right, on=entity, how="outer", sort=False)
    return whole


def _frame(side: ReadColumns, entity: str) -> pd.DataFrame:
    table, name = side.table(), side.tables[0].scan.name
    frame = pd.DataFrame({name: as_series(table[name]) for name in table.column_names})
    if side.tables[0].file.gather:
        listed = next((f.name for f in table.schema if pa.types.is_nested(f.type)), None)
        if listed is not None:
            raise InputError(
                f"column {listed!r} of {name} holds lists; gather lays single values side by side, leave it "
                "out"
            )
        return frame.groupby(entity, sort=False).agg(list).reset_index()
    twice = pd.Series(codes_of(table[entity])).duplicated().to_numpy()
    if twice.any():
        raise InputError(
            f"{entity} {shown(frame[entity][twice.argmax()])} stands twice in {name}; keep one row each"
        )
    return frame


def match_sides(sides: Sequence[ReadColumns], events: ReadColumns, entity: str) -> list[SideMatch]:
    """Counts the ids of the events that have a row in each side table, and warns if that is less than half.

    Rows whose id does not occur in the events do not count: a catalogue may be larger than a log.
    """
    matches = []
    for side in sides if entity in events.builders else ():
        ids, rows = (pd.Index(read.builders[entity].dictionary.words.to_pandas()) for read in (events, side))
        there = ids.isin(rows)
        found = SideMatch(side.tables[0].scan.name, entity, matched=int(there.sum()), ids=len(ids))
        if found.ids and not found.matched:
            example = f", {shown(rows[0])} in the table" if len(rows) else ""
            raise InputError(
                f"{found.table} has a row for none of the {found.ids:,} {entity}s of the events; expected "
                f"the same ids, received {shown(ids[0])} in the events{example}; write them alike, or "
                "leave the table out"
            )
        log.info("%s", found)
        if found.matched * 2 < found.ids:
            warnings.warn(
                f"{found} of the events ({found.matched / found.ids:.1%}); the features of the others, such "
                f"as {shown(ids[~there][0])}, are missing: check that both write ids alike",
                stacklevel=4,  # the caller of read_events, whose calls are recorded
            )
        matches.append(found)
    return matches
