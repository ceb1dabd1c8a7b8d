"""Cleaning: what can be decided from the rows alone."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.cleaning.duplicates import repeated
from torchrec_ext.data.cleaning.k_core import k_core as in_k_core
from torchrec_ext.data.cleaning.step import remove
from torchrec_ext.data.cleaning.where import Wanted, matches, written
from torchrec_ext.data.coded import Coded
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.errors import InputError


@recorded
def clean(
    events: Events,
    *,
    min_rating: float | None = None,
    where: Mapping[str, Wanted] | None = None,
    duplicates: Literal["all", "first", "last"] = "all",
    min_user_events: int = 0,
    min_item_events: int = 0,
    k_core: int | tuple[int, int] | None = None,
) -> Events:
    """Removes low ratings, values not wanted, repeated pairs, rare items, then users of few events.

    The steps come in this order and the k-core last; each counts what those before it left. All but the
    k-core run once, so an item may end with fewer than ``min_item_events`` events once users are removed.

    Args:
        events: as read.
        min_rating: events with a lower rating, or none, are removed.
        where: column -> the values that stay: ``{"rating": (3, None), "country": ["de", "at"]}``. A tuple
            is the lowest and the highest number or time, a list the allowed words; columns of the
            users' and the items' table do as well. A missing value is removed.
        duplicates: of the events of one user with one item, ``all`` stay, or the ``first`` or ``last`` one
            by timestamp (by the order of the rows among equal ones).
        min_user_events: users with fewer events are removed.
        min_item_events: items with fewer events are removed.
        k_core: users and items with fewer events are removed until none is left to remove; one number
            for both, or (of users, of items).

    Returns:
        The events left, in the same order. ``source.steps`` tells what each step removed.

    Raises:
        InputError: if a setting makes no sense, or if a step leaves no event.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data.reading.read import read_events
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"]})
        >>> cleaned = clean(read_events(ratings), min_item_events=2)
        >>> list(cleaned.frame["item"])
        ['a', 'a']
        >>> print(cleaned.source.steps[-1])
        min_item_events=2: removed 1 events, left 2 events of 2 users and 1 items
    """
    expect_at_least(0, min_user_events=min_user_events, min_item_events=min_item_events)
    expect_one_of("duplicates", duplicates, ("all", "first", "last"))
    user_k, item_k = _numbers_of(k_core)

    if min_rating is not None:
        ratings = events.numbers("rating")
        if ratings is None:
            raise InputError(f"min_rating={min_rating:g} needs ratings; {events.source.name} has none")
        hint = f"the highest rating is {np.nanmax(ratings):g}, lower it"
        events = remove(events, ratings >= as_written(min_rating), f"min_rating={min_rating:g}", hint)
    for name, wanted in (where or {}).items():
        events = remove(events, matches(events, name, wanted), written(name, wanted), _there(events, name))
    if duplicates != "all":
        events = remove(events, ~repeated(events, duplicates), f"duplicates={duplicates}", "")
    limits: tuple[tuple[Literal["item", "user"], int], ...] = (
        ("item", min_item_events),
        ("user", min_user_events),
    )
    for column, least in limits:
        if least > 1:
            ids = events.ids(column)
            counts = ids.counts()
            hint = f"the most frequent {column} has {counts.max():,}, lower it"
            enough = np.append(counts >= least, True)[ids.codes]  # the last is that of events without one
            events = remove(events, enough, f"min_{column}_events={least}", hint)
    if user_k > 1 or item_k > 1:
        kept = in_k_core(events.ids("user"), events.ids("item"), user_k, item_k)
        events = remove(events, kept, f"k_core=({user_k}, {item_k})", "lower one of them")
    return events


def _numbers_of(k_core: int | tuple[int, int] | None) -> tuple[int, int]:
    """Events that a user and an item of the k-core need."""
    pair = (1, 1) if k_core is None else (k_core, k_core) if isinstance(k_core, int) else tuple(k_core)
    if len(pair) != 2 or min(pair) < 1:
        raise InputError(f"k_core must be one or two numbers of 1 or more, received {k_core!r}")
    return pair


def _there(events: Events, name: str) -> str:
    """What a filter that left nothing could have left."""
    column = events.columns.get(name)
    if isinstance(column, Coded) and len(column.words):
        often = np.argsort(-column.counts(), kind="stable")[:3]
        return f"the most frequent values are {', '.join(map(str, column.words[often]))}, choose others"
    if isinstance(column, np.ndarray) and column.ndim == 1 and np.isfinite(column).any():
        return f"values go from {np.nanmin(column):g} to {np.nanmax(column):g}, widen the bounds"
    return "widen it"
