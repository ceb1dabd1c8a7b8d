"""describe: counts and distributions of events."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from torchrec_ext.data.description import Description


def describe(events: Any) -> Description:
    """Counts and distributions of events, to print or to draw.

    Args:
        events: :class:`~torchrec_ext.data.events.Events`, which imports this module; what needs a column
            they lack is left out.

    Example:
        >>> from torchrec_ext.data import read_events
        >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 1060, 5000]})
        >>> described = describe(read_events(visits))
        >>> described.rows, described.users, described.density, described.gaps
        (3, 2, 0.75, array([60]))
    """
    columns = {name: events.table[name] for name in events.columns}
    for entity, side in (("user", events.users), ("item", events.items)):
        if side is not None:
            of_side = side.drop(columns=entity).items()
            columns |= {f"{entity}s.{name}": pa.array(column, from_pandas=True) for name, column in of_side}
    users, items, types = (events.codes(n) if n in columns else None for n in ("user", "item", "type"))
    times = events.numbers("timestamp") if events.source.order == "time" else None
    weights = events.target_weights()
    return Description(
        name=events.source.name,
        about=events.source.ordering,
        rows=events.table.num_rows,
        pairs=None if users is None or items is None else _distinct_pairs(users, items),
        history_lengths=None if users is None else _counts(users),
        popularity=None if items is None else _counts(items),
        times=times,
        gaps=None if users is None or times is None else _gaps(users, times, events.by_user_and_time),
        ratings=events.numbers("rating"),
        types=None if types is None else _by_word(types, events.distinct("type")),
        missing={name: _missing(column) for name, column in columns.items()},
        steps=tuple(map(str, events.source.steps)),
        sides=tuple(map(str, events.source.sides)),
        history_only=0 if weights is None else int((weights == 0).sum()),
    )


def _counts(codes: np.ndarray) -> np.ndarray:
    """Number of events of each id that has any, descending."""
    counts = np.bincount(codes[codes >= 0])
    return np.sort(counts[counts > 0])[::-1]


def _by_word(codes: np.ndarray, words: pd.Index) -> dict[str, int]:
    """Number of events of each word that has any, descending."""
    counts = np.bincount(codes[codes >= 0], minlength=len(words))
    order = np.argsort(-counts, kind="stable")
    return {str(words[place]): int(counts[place]) for place in order if counts[place]}


def _distinct_pairs(users: np.ndarray, items: np.ndarray) -> int:
    """Number of pairs of a user and an item that have an event."""
    known = (users >= 0) & (items >= 0)
    pairs = users[known].astype(np.int64) << 32 | items[known]
    pairs.sort()  # np.unique takes six times as long
    return int((np.diff(pairs, prepend=-1) != 0).sum())


def _gaps(users: np.ndarray, times: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Seconds from each event to its user's next one; no value for a user's last."""
    users = users[order]
    return np.diff(times[order])[(users[1:] == users[:-1]) & (users[1:] >= 0)]


def _missing(column: pa.Array | pa.ChunkedArray) -> float:
    """Share of the values that are missing; an empty list is missing."""
    gone = pc.is_null(column, nan_is_null=True)
    if pa.types.is_list(column.type):
        gone = pc.fill_null(pc.equal(pc.list_value_length(column), 0), True)
    return float(pc.mean(gone).as_py() or 0)
