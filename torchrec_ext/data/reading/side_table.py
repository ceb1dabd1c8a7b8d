"""Side tables: one row of features for each user or item."""

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from torchrec_ext.data.reading.columns import ALIASES, find_column
from torchrec_ext.data.reading.ids import IdColumn
from torchrec_ext.data.reading.tables import RawTable
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


class SideTable(NamedTuple):
    """A side table as read, before its ids and those of the events are made one kind.

    Args:
        entity: ``user`` or ``item``.
        ids: the ids, none missing, none twice.
        features: the other columns, of the same index.
    """

    entity: str
    ids: IdColumn
    features: pd.DataFrame

    def with_ids(self, ids: pd.Series) -> pd.DataFrame:
        """The table with its ids as first column, named after the entity."""
        frame = self.features.copy()
        frame.insert(0, self.entity, ids)
        return frame.reset_index(drop=True)


def read_side_table(entity: str, table: RawTable, columns: Mapping[str, str | None]) -> SideTable:
    """Reads all columns of a side table.

    Args:
        entity: ``user`` or ``item``.
        table: one with the entity's id column, called as in the events, or by its usual names.
        columns: our names to the table's names.

    Raises:
        InputError: if there is no id column, or an id stands twice.
    """
    told = columns.get(entity)
    key = told if told in table.columns else find_column(entity, table.columns)
    if key is None:
        raise InputError(
            f"{table.name} has no id column of {entity}s; it has {', '.join(table.columns)}: name it as "
            f"--columns {entity}=NAME, or call it {entity!r} there"
        )
    raw = table.load(table.columns, ids=[key])
    present = raw[key].notna()
    if not present.all():
        log.warning("%s: left out %d rows without a %s", table.name, (~present).sum(), entity)
        raw = raw[present]
    twice = raw[key].duplicated()
    if twice.any():
        raise InputError(
            f"{entity} {raw.loc[twice, key].iloc[0]!r} stands twice in {table.name}; keep one row each"
        )
    ours = {other: name for name, other in columns.items() if other and name not in ALIASES}
    features = raw.drop(columns=key).rename(columns=ours)
    for name in features:
        if features[name].dtype == object:
            features[name] = [v.tolist() if isinstance(v, np.ndarray) else v for v in features[name]]
    return SideTable(entity, IdColumn(raw[key], table.text, f"column {key!r} of {table.name}"), features)
