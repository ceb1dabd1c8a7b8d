"""The columns of events and side tables that were chosen as features."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.column_features import default_options
from torchrec_ext.data.columns import column_of, one_array
from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Options, Time
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity


def chosen_columns(
    events: Events, training: np.ndarray
) -> Iterator[tuple[Entity, str, pa.Array, np.ndarray]]:
    """Entity, name, values and (n,) bool of the values to learn from, of every column chosen as a feature."""
    for name in events.context_features:
        yield "context", name, one_array(events.table[name]), training
    sides: tuple[tuple[Entity, pd.DataFrame | None, tuple[str, ...]], ...] = (
        ("user", events.users, events.user_features),
        ("item", events.items, events.item_features),
    )
    for entity, table, names in sides:
        if table is None or not names or entity not in events.table.column_names:
            continue
        codes = events.codes(entity)[training]
        learnt = table[entity].isin(events.distinct(entity)[np.unique(codes[codes >= 0])]).to_numpy()
        for name in names:
            yield entity, name, column_of(table[name]), learnt


def of_events(events: Events, entity: Entity, rows: np.ndarray) -> np.ndarray:
    """(N,) bool of the events whose user or item has a row of the side table that is true, or none."""
    table = events.users if entity == "user" else events.items
    assert table is not None
    dropped = events.distinct(entity).isin(table[entity][~rows])
    return ~np.append(dropped, False)[events.codes(entity)]


def options_of(events: Events, entity: Entity, name: str, column: pa.Array) -> Options:
    """What becomes of a column, as declared or by its type; InputError for parts of what is not a time."""
    options = events.options.get(f"{entity}_{name}") or default_options(column)
    own_time = isinstance(options, Time) and (entity, name) == ("context", "timestamp")
    if own_time and events.source.order != "time":
        raise InputError(
            f"context feature 'timestamp' wants parts of a time, but {events.source.ordering}; leave it out"
        )
    return options
