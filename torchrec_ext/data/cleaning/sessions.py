"""Sessions: a user's events without a long gap between them."""

import dataclasses

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.cleaning.step import record
from torchrec_ext.data.coded import Coded
from torchrec_ext.data.columns import from_codes
from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import Span, span
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.data.slices import offsets_of
from torchrec_ext.data.times import expect_times
from torchrec_ext.errors import InputError


@recorded
def sessions(events: Events, gap: Span = 1800.0) -> Events:
    """The same events with sessions for users.

    A session ends where a user's next event comes more than ``gap`` later.

    Args:
        events: with timestamps that are times.
        gap: seconds, or a span such as ``"30 min"`` or a ``timedelta``.

    Returns:
        The events in the same order, whose ``user`` is a session: ``ann#1`` is the first one of ``ann``.
        The user stands in the column ``visitor``, which can be chosen as a context feature. A session has
        the side features of its user.

    Raises:
        InputError: if the timestamps are not times, the gap is not positive or there is a column
            ``visitor``.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> visits = pd.DataFrame({"user": ["ann"] * 3, "item": [7, 8, 9], "time": [10_000, 11_000, 19_000]})
        >>> sessions(read_events(visits)).frame["user"].tolist()
        ['ann#1', 'ann#1', 'ann#2']
    """
    seconds = span("gap", gap)
    if not seconds > 0:
        raise InputError(f"gap should be more than 0 seconds, received {gap}")
    if "visitor" in events.columns:
        raise InputError("there is a column 'visitor' already; rename it, since sessions put the user there")
    times, users = expect_times(events, "sessions", "name a column of times"), events.ids("user")
    codes, of_user = _cut(users, times, seconds)
    words = _words(users, of_user)
    place = events.table.column_names.index("user")
    table = events.table.append_column("visitor", events.table["user"])
    table = table.set_column(place, "user", from_codes(codes, words))
    cut = dataclasses.replace(events, table=table, users=_side_table(events.users, users, of_user, words))
    return record(cut, f"sessions(gap={seconds:g})")


def _cut(users: Coded, times: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """(N,) int32 session of each event, in order of user and time, and (S,) code of each session's user."""
    order = by_user_and_time(users.codes, times)
    of_users, later = users.codes[order], times[order]
    begins = np.ones(len(order), bool)
    begins[1:] = (of_users[1:] != of_users[:-1]) | (later[1:] - later[:-1] > gap)
    codes = np.empty(len(order), np.int32)
    codes[order] = np.cumsum(begins, dtype=np.int32) - 1
    return codes, of_users[begins]


def _words(users: Coded, of_user: np.ndarray) -> pd.Index:
    """(S,) names of the sessions: the user's, and the session's number among the user's own."""
    firsts = offsets_of(np.bincount(of_user, minlength=len(users.words)))
    numbers = pa.array(np.arange(len(of_user)) - firsts[of_user] + 1).cast(pa.large_string())
    names = pa.array(users.words.astype(str), pa.large_string()).take(pa.array(of_user))
    mark = pa.scalar("#", pa.large_string())
    return pd.Index(pc.binary_join_element_wise(names, numbers, mark).to_pandas())


def _side_table(
    table: pd.DataFrame | None, users: Coded, of_user: np.ndarray, words: pd.Index
) -> pd.DataFrame | None:
    """A row a session with the side features of its user; none for a user without any."""
    if table is None:
        return None
    rows = pd.Index(table["user"]).get_indexer(users.words)[of_user]
    known = rows >= 0
    return table.iloc[rows[known]].assign(user=words[known]).reset_index(drop=True)
