"""describe: counts and distributions of events."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import numpy as np
import pandas as pd

from torchrec_ext.data.by_user_and_time import by_user_and_time
from torchrec_ext.data.coded import Coded, CodedLists, Column, holds_lists
from torchrec_ext.data.description import Description
from torchrec_ext.data.distribution import Distribution


class _Source(Protocol):
    """What of :class:`~torchrec_ext.data.events.Source` is read."""

    @property
    def name(self) -> str: ...
    @property
    def order(self) -> str: ...
    @property
    def ordering(self) -> str: ...
    @property
    def steps(self) -> Sequence[object]: ...
    @property
    def sides(self) -> Sequence[object]: ...


class _Events(Protocol):
    """What of :class:`~torchrec_ext.data.events.Events` is read, which hands itself in."""

    @property
    def columns(self) -> Mapping[str, Column]: ...
    @property
    def source(self) -> _Source: ...
    @property
    def users(self) -> pd.DataFrame | None: ...
    @property
    def items(self) -> pd.DataFrame | None: ...
    def __len__(self) -> int: ...
    def target_weights(self) -> np.ndarray | None: ...


def describe(events: _Events) -> Description:
    """Counts and distributions of events, to print or to draw.

    Args:
        events: :class:`~torchrec_ext.data.events.Events`; what needs a column they lack is left out.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 1060, 5000]})
        >>> described = describe(read_events(visits))
        >>> described.rows, described.users, described.density, described.gaps.quantiles.max().item()
        (3, 2, 0.75, 60.0)
    """
    users, items = (_ids(events.columns.get(name)) for name in ("user", "item"))
    lengths, popularity = (None if ids is None else _positive(ids.counts()) for ids in (users, items))
    times = events.columns.get("timestamp")
    if events.source.order != "time" or not isinstance(times, np.ndarray):
        times = None
    ratings, types = events.columns.get("rating"), _ids(events.columns.get("type"))
    weights = events.target_weights()
    return Description(
        name=events.source.name,
        about=events.source.ordering,
        rows=len(events),
        users=None if lengths is None else len(lengths),
        items=None if popularity is None else len(popularity),
        pairs=None if users is None or items is None else _distinct_pairs(users, items),
        history_lengths=None if lengths is None else Distribution.of(lengths, "log", bins=30),
        popularity=None if popularity is None else np.sort(popularity)[::-1],
        times=None if times is None else Distribution.of(times, bins=60),
        gaps=None if times is None or users is None else Distribution.of(_gaps(users, times), "log"),
        ratings=Distribution.of(ratings) if isinstance(ratings, np.ndarray) else None,
        types=None if types is None else _by_word(types),
        missing=dict(_missing(events)),
        steps=tuple(map(str, events.source.steps)),
        sides=tuple(map(str, events.source.sides)),
        history_only=0 if weights is None else int((weights == 0).sum()),
    )


def _ids(column: Column | None) -> Coded | None:
    return column if isinstance(column, Coded) else None


def _positive(counts: np.ndarray) -> np.ndarray:
    return counts[counts > 0]


def _distinct_pairs(users: Coded, items: Coded) -> int:
    """Number of pairs of a user and an item that have an event."""
    pairs = users.codes.astype(np.int64)
    pairs *= len(items.words)
    pairs += items.codes
    pairs = pairs[(users.codes >= 0) & (items.codes >= 0)]
    pairs.sort()
    return int((pairs[1:] != pairs[:-1]).sum()) + bool(len(pairs))


def _gaps(users: Coded, times: np.ndarray) -> np.ndarray:
    """Seconds from each event to its user's next one; no value for a user's last."""
    order = by_user_and_time(users.codes, times)
    codes, later = users.codes[order], times[order]
    return (later[1:] - later[:-1])[(codes[1:] == codes[:-1]) & (codes[1:] >= 0)]


def _by_word(column: Coded) -> dict[str, int]:
    """Number of events of each word that has any, the most frequent first."""
    counts = column.counts()
    order = np.argsort(-counts, kind="stable")
    return {str(column.words[code]): int(counts[code]) for code in order if counts[code]}


def _missing(events: _Events) -> Iterator[tuple[str, float]]:
    """Each column, those of the side tables by their table's name too, and its share of missing values."""
    for name, column in events.columns.items():
        if isinstance(column, Coded):
            yield name, float((column.codes < 0).mean())
        elif isinstance(column, CodedLists):
            yield name, float((np.diff(column.offsets) == 0).mean())
        elif column.dtype.kind == "f":
            yield name, float(np.isnan(column).mean())
        else:
            yield name, 0.0
    for entity, table in (("user", events.users), ("item", events.items)):
        if table is not None:
            for name in table.columns:
                if name != entity:
                    values = table[name]
                    missing = (
                        np.diff(CodedLists.of(values).offsets) == 0 if holds_lists(values) else values.isna()
                    )
                    yield f"{entity}s.{name}", float(np.mean(missing))
