"""Cleaning: what can be decided from the rows alone."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.checks import expect_at_least, expect_one_of
from torchrec_ext.data.as_written import as_written
from torchrec_ext.data.columns import used
from torchrec_ext.data.events import Events
from torchrec_ext.data.filters.where import Wanted, matches, written
from torchrec_ext.data.recorded_calls import recorded
from torchrec_ext.data.source import Step
from torchrec_ext.errors import InputError

log = logging.getLogger(__name__)


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
        min_user_events: events that a user needs to stay.
        min_item_events: events that an item needs to stay.
        k_core: users and items with fewer events go until none is left; one number, or (of users, of items).

    Returns:
        The events left, in the same order. ``source.steps`` reports what each step removed.

    Raises:
        InputError: if a setting makes no sense, or if a step leaves no event.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> ratings = pd.DataFrame({"user": [1, 1, 2], "item": ["a", "b", "a"]})
        >>> cleaned = clean(read_events(ratings), min_item_events=2)
        >>> print(cleaned.source.steps[-1])
        min_item_events=2: removed 1 events, left 2 events of 2 users and 1 items
    """
    expect_at_least(0, min_user_events=min_user_events, min_item_events=min_item_events)
    expect_one_of("duplicates", duplicates, ("all", "first", "last"))
    pair = (k_core, k_core) if isinstance(k_core, int) else tuple(k_core or (1, 1))
    if len(pair) != 2 or min(pair) < 1:
        raise InputError(f"k_core must be one or two numbers of 1 or more, received {k_core!r}")

    before = len(events)

    def keep(kept: np.ndarray, step: str, hint: str = "") -> Events:
        if not kept.any():
            raise InputError(f"{step} removes all events of {events.source.name}; {hint}")
        return record(events if kept.all() else events.take(kept), step, removed=int((~kept).sum()))

    if min_rating is not None:
        ratings = events.numbers("rating")
        if ratings is None:
            raise InputError(f"min_rating={min_rating:g} needs ratings; {events.source.name} has none")
        hint = f"the highest rating is {np.nanmax(ratings):g}, lower it"
        events = keep(ratings >= as_written(min_rating), f"min_rating={min_rating:g}", hint)
    for name, wanted in (where or {}).items():
        kept = matches(events, name, wanted)
        events = keep(kept, written(name, wanted), "" if kept.any() else _present(events, name))
    if duplicates != "all":
        events = keep(~_repeated(events, duplicates), f"duplicates={duplicates}")
    for entity, least in (("item", min_item_events), ("user", min_user_events)):
        if least > 1:
            codes = events.codes(entity)
            hint = f"the most frequent {entity} has {np.bincount(codes[codes >= 0]).max():,}, lower it"
            events = keep(have_enough(codes, least), f"min_{entity}_events={least}", hint)
    if max(pair) > 1:
        kept = in_k_core(events.codes("user"), events.codes("item"), *pair)
        events = keep(kept, f"k_core={pair}", "lower one of them")
    table = events.table
    for place, name in enumerate(events.columns if len(events) < before else ()):
        if name in ("user", "item"):  # as if they were read alone: their order is that of a log
            table = table.set_column(place, name, used(table[name]))
    return replace(events, table=table)


def record(events: Events, step: str, removed: int = 0) -> Events:
    """The events that a step left, their source saying how many it removed."""
    done = Step(step, removed, left=len(events), users=events.count("user"), items=events.count("item"))
    log.info("%s", done)
    return replace(events, source=replace(events.source, steps=(*events.source.steps, done)))


def _repeated(events: Events, keep: Literal["first", "last"]) -> np.ndarray:
    """(N,) bool, which events have an earlier (a later) one of the same user with the same item."""
    order, items = events.by_user_and_time, events.codes("item")
    pairs = events.codes("user").astype(np.int64)
    pairs *= len(events.distinct("item")) + 1  # -1 is that of no item
    pairs += items
    marked = np.empty(len(pairs), bool)
    marked[order] = pd.Series(pairs[order], copy=False).duplicated(keep=keep)
    return marked & (items >= 0)


def _present(events: Events, name: str) -> str:
    """What a filter that left nothing could have left."""
    column, numbers = events.column(name), events.numbers(name)
    if column is not None and pa.types.is_dictionary(column.type) and column.null_count < len(column):
        words = events.distinct(name)[events.counts(name).index[:3]]
        return f"the most frequent values are {', '.join(map(str, words))}, choose others"
    if numbers is not None and numbers.ndim == 1 and np.isfinite(numbers).any():
        return f"values go from {np.nanmin(numbers):g} to {np.nanmax(numbers):g}, widen the bounds"
    return "widen it"


def in_k_core(users: np.ndarray, items: np.ndarray, user_k: int, item_k: int) -> np.ndarray:
    """(N,) bool, which events are left when users and items of few events go until none is left to go.

    ``users`` and ``items`` are (N,) int; an event without an item, -1, stays as long as its user does, and
    is not counted. ``user_k`` and ``item_k`` are the events they need, repeated ones counted.
    """
    kept = np.zeros(len(users), bool)
    left = np.arange(len(users), dtype=np.int32)
    while True:
        stays = have_enough(users, user_k, counted=items >= 0) & have_enough(items, item_k)
        if stays.all():
            kept[left] = True
            return kept
        left, users, items = left[stays], users[stays], items[stays]


def have_enough(codes: np.ndarray, least: int, counted: np.ndarray | None = None) -> np.ndarray:
    """(N,) bool, which codes occur often enough, among those counted; a missing one, -1, always does."""
    counted = codes >= 0 if counted is None else counted
    counts = np.bincount(codes[counted], minlength=codes.max(initial=0) + 1)
    return np.append(counts >= least, True)[codes]
