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
        if "rating" not in events.frame:
            raise InputError(f"min_rating={min_rating:g} needs ratings; {events.source.name} has none")
        ratings = events.frame["rating"]
        hint = f"the highest rating is {ratings.max():g}"
        events = _step(events, (ratings >= min_rating).to_numpy(), f"min_rating={min_rating:g}", hint)
    if duplicates != "keep":
        events = _step(events, ~_repeated(events.frame, duplicates), f"duplicates={duplicates}", "")
    for column, least in (("item", min_item_events), ("user", min_user_events)):
        if least > 1:
            counts = _counts(events.frame[column])
            hint = f"the most frequent {column} has {counts.max():,}"
            events = _step(events, counts >= least, f"min_{column}_events={least}", hint)
    return events


def _counts(ids: pd.Series) -> np.ndarray:
    """How many events each event's id has, (n,)."""
    codes, _ = pd.factorize(ids)
    return np.bincount(codes)[codes]


def _repeated(frame: pd.DataFrame, keep: Literal["first", "last"]) -> np.ndarray:
    """Which events are to go because their pair of user and item has an earlier (a later) one, (n,) bool."""
    pairs = frame[["user", "item"]]
    if "timestamp" not in frame:
        return pairs.duplicated(keep=keep).to_numpy()
    by_time = np.argsort(frame["timestamp"].to_numpy(), kind="stable")
    repeated = np.empty(len(frame), dtype=bool)
    repeated[by_time] = pairs.iloc[by_time].duplicated(keep=keep).to_numpy()
    return repeated


def _step(events: Events, kept: np.ndarray, name: str, hint: str) -> Events:
    if not kept.any():
        raise InputError(f"{name} removes all events of {events.source.name}; {hint}, lower it")
    left = events.take(kept)
    step = Step(
        step=name,
        removed=len(events) - len(left),
        left=len(left),
        users=left.frame["user"].nunique(),
        items=left.frame["item"].nunique(),
    )
    log.info("%s", step)
    source = dataclasses.replace(events.source, steps=(*events.source.steps, step))
    return dataclasses.replace(left, source=source)
