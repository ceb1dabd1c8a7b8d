"""Sessions: a user's events without a long gap between them."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.columns import from_codes, used
from torchrec_ext.data.events import Events, expect_times
from torchrec_ext.data.filters.clean import record
from torchrec_ext.data.instants import Span, comparable, span
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.errors import InputError


@recorded
def sessions(events: Events, gap: Span = 1800.0) -> Events:
    """The same events with sessions for users, which end where the next event comes more than ``gap`` later.

    Args:
        events: with timestamps that are times.
        gap: seconds, or a span such as ``"30 min"`` or a ``timedelta``.

    Returns:
        The events in the same order, whose ``user`` is a session: ``ann#1`` is the first one of ``ann``.
        The column ``visitor``, a possible context feature, holds the user, whose side features it has.

    Raises:
        InputError: if the timestamps are not times, the gap is not positive or ``visitor`` is taken.

    Example:
        >>> from torchrec_ext.data import read_events
        >>> visits = pd.DataFrame({"user": ["ann"] * 3, "item": [7, 8, 9], "time": [10_000, 11_000, 19_000]})
        >>> sessions(read_events(visits)).frame["user"].tolist()
        ['ann#1', 'ann#1', 'ann#2']
    """
    seconds = span("gap", gap)
    if "visitor" in events.table.column_names:
        raise InputError("there is a column 'visitor' already; rename it, since sessions put the user there")
    ticks = expect_times(events, "sessions", "name a column of times")
    order, users = events.by_user_and_time, events.distinct("user")
    owners, later = events.codes("user")[order], ticks[order]
    longest = comparable(seconds * events.ticks_per_second, ticks, math.floor)
    begins = np.ones(len(order), bool)
    begins[1:] = (owners[1:] != owners[:-1]) | (later[1:] - later[:-1] > longest)
    codes = np.empty(len(order), np.int32)
    codes[order] = np.cumsum(begins, dtype=np.int32) - 1

    owners = owners[begins]  # of each session
    numbers = pa.array(pd.Series(owners).groupby(owners).cumcount() + 1).cast(pa.string())
    names = pa.array(users.astype(str), pa.string()).take(pa.array(owners))
    names = pc.binary_join_element_wise(names, numbers, "#")
    table = events.table.append_column("visitor", events.table["user"])
    table = table.set_column(table.column_names.index("user"), "user", used(from_codes(codes, names)))
    side = events.users
    if side is not None:
        rows = pd.Index(side["user"]).get_indexer(users)[owners]
        known = rows >= 0
        side = side.iloc[rows[known]].assign(user=names.filter(pa.array(known)).to_pandas().to_numpy())
        side = side.reset_index(drop=True)
    return record(dataclasses.replace(events, table=table, users=side), f"sessions(gap={float(seconds):g})")
