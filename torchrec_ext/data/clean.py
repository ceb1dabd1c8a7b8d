"""Cleaning: what can be decided from the rows alone."""

import dataclasses
import logging
from typing import Literal

import numpy as np
import pandas as pd

from torchrec_ext.data.events import Events, Step
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


def clean(
    events: Events,
    *,
    min_user_events: int = 0,
    min_item_events: int = 0,
    min_rating: float | None = None,
    duplicates: Literal["keep", "first", "last"] = "keep",
) -> Events:
    """Removes events, in this order: low ratings, repeated pairs, rare items, users of few events.

    Each step runs once and counts what the steps before it left. So an item may end with fewer than
    ``min_item_events`` events once users are removed.

    Args:
        events: as read.
        min_user_events: users with fewer events are removed.
        min_item_events: items with fewer events are removed.
        min_rating: events with a lower rating, or none, are removed.
        duplicates: of the events of one user with one item, ``keep`` all, or the ``first`` or ``last``
            by timestamp (by the order of the rows among equal ones).

    Returns:
        The events left, in the same order. ``source.steps`` tells what each step removed.

    Raises:
        InputError: if a setting makes no sense, or if a step leaves no event.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"]})
        >>> cleaned = clean(read_events(ratings), min_item_events=2)
        >>> list(cleaned.frame["item"])
        ['a', 'a']
        >>> print(cleaned.source.steps[-1])
        min_item_events=2: removed 1 events, left 2 events of 2 users and 1 items
    """
    for name, value in (("min_user_events", min_user_events), ("min_item_events", min_item_events)):
        if value < 0:
            raise InputError(f"{name} must be 0 or more, received {value}")
    if duplicates not in ("keep", "first", "last"):
        raise InputError(f"duplicates must be 'keep', 'first' or 'last', received {duplicates!r}")

    if min_rating is not None:
        ratings = events.numbers("rating")
        if ratings is None:
            raise InputError(f"min_rating={min_rating:g} needs ratings; {events.source.name} has none")
        hint = f"the highest rating is {np.nanmax(ratings):g}"
        events = _step(events, ratings >= min_rating, f"min_rating={min_rating:g}", hint)
    if duplicates != "keep":
        events = _step(events, ~_repeated(events, duplicates), f"duplicates={duplicates}", "")
    limits: tuple[tuple[Literal["item", "user"], int], ...] = (
        ("item", min_item_events),
        ("user", min_user_events),
    )
    for column, least in limits:
        if least > 1:
            ids = events.ids(column)
            counts = ids.counts()[ids.codes]
            hint = f"the most frequent {column} has {counts.max():,}"
            events = _step(events, counts >= least, f"min_{column}_events={least}", hint)
    return events


def _repeated(events: Events, keep: Literal["first", "last"]) -> np.ndarray:
    """Which events are to go because their pair of user and item has an earlier (a later) one, (N,) bool."""
    users, items, times = events.ids("user"), events.ids("item"), events.numbers("timestamp")
    pairs = users.codes.astype(np.int64) * len(items.words) + items.codes
    by_time = np.arange(len(pairs)) if times is None else np.argsort(times, kind="stable")
    repeated = np.empty(len(pairs), dtype=bool)
    repeated[by_time] = pd.Series(pairs[by_time]).duplicated(keep=keep).to_numpy()
    return repeated


def _step(events: Events, kept: np.ndarray, name: str, hint: str) -> Events:
    if not kept.any():
        raise InputError(f"{name} removes all events of {events.source.name}; {hint}, lower it")
    left = events.take(kept)
    step = Step(
        step=name,
        removed=len(events) - len(left),
        left=len(left),
        users=left.count("user"),
        items=left.count("item"),
    )
    log.info("%s", step)
    source = dataclasses.replace(events.source, steps=(*events.source.steps, step))
    return dataclasses.replace(left, source=source)
