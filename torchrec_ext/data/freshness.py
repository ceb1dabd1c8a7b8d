"""freshness(): what was known of an event's item at that moment: its age, recent clicks, earlier readers."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from torchrec_ext.data.events import Events, expect_times
from torchrec_ext.data.features import Number
from torchrec_ext.data.instants import Span, comparable, span
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.errors import InputError


@recorded
def freshness(
    events: Events,
    hours: Sequence[float] = (1, 6, 24),
    *,
    clicked: float = 1.0,
    dwell: str | None = None,
    delay: Span = 0.0,
) -> Events:
    """The same events with columns of numbers on the past of their items, as further context features.

    An event is described by earlier events alone, never by itself, by simultaneous or by later ones. A rated
    event is an item in view, and a click if its rating is at least ``clicked``. An event without a rating
    only says that the item was there, and is not described itself.

    The time of a click is often recorded as that of the view, and the dwell time is known once the reader has
    left. With a ``delay`` neither is used before it was known.

    Args:
        events: with times and ratings.
        hours: lengths of the windows before an event in which views and clicks are counted.
        clicked: least rating of a click.
        dwell: column of numbers, how long the reader of a click stayed; None leaves ``dwell_before`` out.
        delay: seconds, or a span such as ``"10 min"``, after which an event is known. Windows end this long
            before an event. The user's own views are known at once.

    Returns:
        The events in the same order with the columns ``age``, hours since the first event of the item;
        ``views_6h`` and ``clicks_6h`` of each window; ``dwell_before``, mean dwell time of earlier clicks,
        NaN without one; and ``seen``, how often the user had the item in view before. As features they
        are scaled by ``log1p``.

    Raises:
        InputError: if the timestamps are not times, there are no ratings or no ``dwell``, a window is not
            longer than 0 or stands there twice, or a column of such a name is there already.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> shown = pd.DataFrame({"user": list("abc"), "item": [7] * 3, "rating": [1, 0, 1]})
        >>> shown["timestamp"] = [1_600_000_000, 1_600_001_800, 1_600_005_400]
        >>> fresh = freshness(read_events(shown), hours=[1])
        >>> fresh.frame[["age", "views_1h", "clicks_1h", "seen"]].values.tolist()
        [[0.0, 0.0, 0.0, 0.0], [0.5, 1.0, 1.0, 0.0], [1.5, 1.0, 0.0, 0.0]]
    """
    ticks, second = expect_times(events, "freshness", "name a column of times"), events.ticks_per_second
    ratings, stayed = events.numbers("rating"), None if dwell is None else events.numbers(dwell)
    if ratings is None:
        raise InputError("freshness counts clicks by their rating, but there is no column 'rating'; map one")
    if dwell is not None and stayed is None:
        numbers = ", ".join(name for name in events.columns if events.numbers(name) is not None)
        raise InputError(f"dwell names {dwell!r}, which is not a column of numbers; these are {numbers}")
    windows = {f"{float(hour):g}h".replace(".", "_"): span("hours", hour) * 3600 for hour in hours}
    if len(windows) < len(hours):
        raise InputError(f"hours should hold each window once, received {hours}")
    later = span("delay", delay, or_none=True)

    users, items = events.codes("user").astype(np.int64), events.codes("item")
    order = np.lexsort((ticks, items))  # what is searched for in this order is found several times as fast
    users, items, ticks, ratings = users[order], items[order], ticks[order], ratings[order]
    viewed, clicks = ~np.isnan(ratings), ratings >= clicked

    def ago(seconds: Fraction) -> np.ndarray:
        """(N,) ticks so long before each event."""
        return ticks - comparable(seconds * second, ticks, math.floor)

    firsts = np.flatnonzero(np.diff(items, prepend=-2))
    first_ticks = np.repeat(ticks[firsts], np.diff(np.append(firsts, len(items))))
    found = {"age": (ticks - first_ticks) / (3600 * second)}
    for what, counted in (("views", viewed), ("clicks", clicks)):
        past = _Past(items, ticks, counted)
        for name, seconds in windows.items():
            found[f"{what}_{name}"] = past.before(ago(later)) - past.before(ago(later + seconds))
    if stayed is not None:
        read = clicks & ~np.isnan(stayed[order])
        past, sums = _Past(items, ticks, read), np.append(0.0, np.cumsum(stayed[order][read]))
        ends = past.before(ago(later))
        with np.errstate(invalid="ignore"):  # no readers have no mean
            found["dwell_before"] = (sums[ends] - sums[past.starts]) / (ends - past.starts)
    pairs = np.unique((users + 1) * (items.max(initial=0) + 2) + items + 1, return_inverse=True)[1]
    past = _Past(pairs, ticks, viewed)
    found["seen"] = np.where(users < 0, np.nan, past.before(ticks) - past.starts)
    described = viewed & (items >= 0)
    return _with_features(events, {n: _unsorted(column, order, described) for n, column in found.items()})


class _Past:
    """Places of N events among some of them, the counted ones, sorted by group and time.

    The difference of two places of a group is the number of counted events between.
    """

    def __init__(self, groups: np.ndarray, ticks: np.ndarray, counted: np.ndarray) -> None:
        # group and rank of the time in one integer, whatever the unit of the ticks
        self.times = np.unique(ticks[counted])
        self.offsets = groups.astype(np.int64) * (len(self.times) + 1)
        self.keys = np.sort(self.offsets[counted] + np.searchsorted(self.times, ticks[counted]))
        self.starts = np.searchsorted(self.keys, self.offsets)
        """(N,) places of the first counted events of the groups."""

    def before(self, ticks: np.ndarray) -> np.ndarray:
        """(N,) places behind those counted events of each event's group that come before its tick."""
        return np.searchsorted(self.keys, self.offsets + np.searchsorted(self.times, ticks))


def _unsorted(column: np.ndarray, order: np.ndarray, described: np.ndarray) -> np.ndarray:
    """A column of the sorted events in the order of the table, NaN where an event is not described."""
    found = np.empty(len(order))
    found[order] = np.where(described, column, np.nan)
    return found


def _with_features(events: Events, columns: Mapping[str, np.ndarray]) -> Events:
    """The events with columns of numbers as further context features."""
    there = [name for name in columns if name in events.columns]
    if there:
        raise InputError(f"there is a column {there[0]!r} already; rename it, since freshness adds one")
    return dataclasses.replace(
        events.with_numbers(columns),
        context_features=(*events.context_features, *columns),
        options={**{f"context_{name}": Number(scale="log1p") for name in columns}, **events.options},
    )
