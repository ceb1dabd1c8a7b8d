"""The columns of events and side tables that were chosen as features."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from torchrec_ext.data.coded import Coded, Column, column_of
from torchrec_ext.data.column_features import default_options
from torchrec_ext.data.events import Events
from torchrec_ext.data.features import Options, Time
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity


def chosen_columns(events: Events, training: np.ndarray) -> Iterator[tuple[Entity, str, Column, np.ndarray]]:
    """Entity, name, values and (n,) bool of the values to learn from, of every column chosen as a feature."""
    for name in events.context_features:
        yield "context", name, events.columns[name], training
    sides: tuple[tuple[Entity, pd.DataFrame | None, tuple[str, ...]], ...] = (
        ("user", events.users, events.user_features),
        ("item", events.items, events.item_features),
    )
    for entity, table, names in sides:
        ids = events.columns.get(entity)
        if table is None or not names or not isinstance(ids, Coded):
            continue
        learnt = table[entity].isin(ids.take(training).used().words).to_numpy()
        for name in names:
            yield entity, name, column_of(table[name]), learnt


def of_events(events: Events, entity: Entity, rows: np.ndarray) -> np.ndarray:
    """(N,) bool of the events whose user or item has a row of the side table that is true, or none."""
    table = events.users if entity == "user" else events.items
    ids = events.columns[entity]
    assert table is not None and isinstance(ids, Coded)
    dropped = ids.words.isin(table[entity][~rows])
    return ~np.append(dropped, False)[ids.codes]


def options_of(events: Events, entity: Entity, name: str, column: Column) -> Options:
    """What becomes of a column: as declared, or as its values tell.

    Raises:
        InputError: for parts of a time where the timestamps are none.
    """
    options = events.options.get(f"{entity}_{name}") or default_options(column)
    own_time = isinstance(options, Time) and (entity, name) == ("context", "timestamp")
    if own_time and events.source.order != "time":
        raise InputError(
            f"context feature 'timestamp' wants parts of a time, but {events.source.ordering}; leave it out"
        )
    return options
