"""Filters by value: bounds of numbers and times, allowed words."""

import math
from collections.abc import Collection
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from torchrec_ext.data.as_written import number_as_written
from torchrec_ext.data.coded import Coded, CodedLists, Column, column_of
from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import instant
from torchrec_ext.data.shown import shown
from torchrec_ext.errors import InputError

Wanted: TypeAlias = Collection[Any]
"""A tuple (low, high) of which either may be None, both ends belonging to it; or a list of allowed values."""


def matches(events: Events, name: str, wanted: Wanted) -> np.ndarray:
    """Which events have one of the wanted values, (N,) bool; a missing value is none of them.

    Args:
        events: N events.
        name: a column of the events, or else of their side tables: then the events of the users or items
            with such a value. A list of values fits if one of them does.
        wanted: bounds for numbers; for ``timestamp`` seconds or dates, of which the first instant counts
            (UTC if none is said). Or allowed values, compared by how they are written.

    Raises:
        InputError: if there is no such column, or if it cannot be compared so.

    Example:
        >>> from torchrec_ext.data.reading.read import read_events
        >>> visits = pd.DataFrame({"user": [1, 2, 3], "item": [7, 8, 9], "rating": [5, 2, 3]})
        >>> matches(read_events(visits), "rating", (3, None))
        array([ True, False,  True])
        >>> matches(read_events(visits), "item", [8, 9])
        array([False,  True,  True])
    """
    bounds = isinstance(wanted, tuple) and len(wanted) == 2
    if not (bounds or isinstance(wanted, list | set | frozenset)):
        raise InputError(f"where {name!r} takes (low, high) or a list of allowed values, received {wanted!r}")
    if name in events.columns:
        return _fit(events.columns[name], name, wanted)
    if events.users is not None and name in events.users:
        fit, ids = _ids_that_fit(events.users, "user", name, wanted), events.ids("user")
    elif events.items is not None and name in events.items:
        fit, ids = _ids_that_fit(events.items, "item", name, wanted), events.ids("item")
    else:
        tables = [t for t in (events.users, events.items) if t is not None]
        there = dict.fromkeys([*events.columns, *(str(c) for t in tables for c in t)])
        raise InputError(f"no column {name!r} to filter by; there are {', '.join(there)}")
    return np.append(ids.words.isin(fit), False)[ids.codes]


def written(name: str, wanted: Wanted) -> str:
    """A filter in one word: ``rating=3..``, ``country=de,at``."""
    if isinstance(wanted, tuple):
        return f"{name}={'..'.join('' if bound is None else str(bound) for bound in wanted)}"
    words = [str(value) for value in wanted]
    more = f",... ({len(words)} values)" if len(words) > 5 else ""
    return f"{name}={','.join(words[:5])}{more}"


def _ids_that_fit(table: pd.DataFrame, entity: str, name: str, wanted: Wanted) -> pd.Series:
    return table.loc[_fit(column_of(table[name]), name, wanted), entity]


def _fit(column: Column, name: str, wanted: Wanted) -> np.ndarray:
    if isinstance(column, CodedLists):
        there = np.concatenate([[0], np.cumsum(_fit(column.values, name, wanted))])
        return np.diff(there[column.offsets]) > 0
    if isinstance(column, Coded):
        if isinstance(wanted, tuple):
            if not pd.api.types.is_numeric_dtype(column.words.dtype):
                example = f" such as {shown(column.words[0])}" if len(column.words) else ""
                raise InputError(
                    f"where {name!r} has the bounds {wanted!r}, but holds words{example}; "
                    "give a list of allowed ones"
                )
            fit = _between(column.words.to_numpy(), name, wanted)
        else:
            fit = column.words.astype(str).isin([_word(value) for value in wanted])
        return np.append(fit, False)[column.codes]
    if column.ndim > 1:
        raise InputError(f"where {name!r}: the column holds vectors, which cannot be compared")
    if isinstance(wanted, tuple):
        return _between(column, name, wanted)
    return np.isin(column, [_number(value, name) for value in wanted])


def _between(numbers: np.ndarray, name: str, bounds: tuple[Any, ...]) -> np.ndarray:
    low, high = (None if bound is None else _number(bound, name) for bound in bounds)
    if low is not None and high is not None and low > high:
        raise InputError(f"where {name!r} has bounds in the wrong order, received {bounds!r}")
    if numbers.dtype.kind == "i":  # a float bound would make floats of them, which end at 53 bits
        low, high = _whole(low, up=True), _whole(high, up=False)
    fit = ~np.isnan(numbers) if numbers.dtype.kind == "f" else np.ones(len(numbers), bool)
    if low is not None:
        fit &= numbers >= low
    if high is not None:
        fit &= numbers <= high
    return fit


def _whole(bound: float | None, up: bool) -> float | None:
    """The nearest integer at or above a bound, or at or below it."""
    if bound is None or isinstance(bound, int) or not math.isfinite(bound):
        return bound
    return math.ceil(bound) if up else math.floor(bound)


def _word(value: Any) -> str:
    """An allowed value as it is written in a column of words, where integers have no point."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    whole = isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**53
    return str(int(value)) if whole else str(value)


def _number(value: Any, name: str) -> float:
    """A bound as a number, an integer as such; that of a timestamp may be a date."""
    if name == "timestamp":
        return instant(f"where {name!r}", value)
    found = number_as_written(value)
    if found is None:
        raise InputError(f"where {name!r} takes numbers, received {value!r}")
    return found
