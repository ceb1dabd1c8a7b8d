"""Filters by value: bounds of numbers and times, allowed words."""

import math
from collections.abc import Collection
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import pyarrow as pa

from torchrec_ext.data.as_written import number_as_written, shown
from torchrec_ext.data.columns import codes_of, column_of, numbers_of, words_of
from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import comparable, instant
from torchrec_ext.errors import InputError

Wanted: TypeAlias = Collection[Any]
"""A tuple (low, high) of which either may be None, both ends belonging to it; or a list of allowed values."""


def matches(events: Events, name: str, wanted: Wanted) -> np.ndarray:
    """(N,) bool, which events have one of the wanted values of a column; a missing value is none of them.

    A column of a side table fits the events of the users or items with such a value; a list fits if one of
    its values does. Bounds of ``timestamp`` are seconds or dates, of which the first instant counts; allowed
    values are compared by how they are written.
    """
    bounds = isinstance(wanted, tuple) and len(wanted) == 2
    if not (bounds or isinstance(wanted, list | set | frozenset)):
        raise InputError(f"where {name!r} takes (low, high) or a list of allowed values, received {wanted!r}")
    column = events.column(name)
    if column is not None:
        return fits(column, name, wanted)
    sides = [(entity, t) for entity, t in (("user", events.users), ("item", events.items)) if t is not None]
    for entity, table in sides:
        if name in table:
            ids = table.loc[fits(column_of(table[name]), name, wanted), entity]
            return np.append(events.distinct(entity).isin(ids), False)[events.codes(entity)]
    there = dict.fromkeys([*events.table.column_names, *(str(c) for _, table in sides for c in table)])
    raise InputError(f"no column {name!r} to filter by; there are {', '.join(there)}")


def written(name: str, wanted: Wanted) -> str:
    """A filter in one word: ``rating=3..``, ``country=de,at``."""
    if isinstance(wanted, tuple):
        return f"{name}={'..'.join('' if bound is None else str(bound) for bound in wanted)}"
    words = [str(value) for value in wanted]
    more = f",... ({len(words)} values)" if len(words) > 5 else ""
    return f"{name}={','.join(words[:5])}{more}"


def fits(column: pa.Array, name: str, wanted: Wanted) -> np.ndarray:
    """(N,) bool, which values of a column, which messages call ``name``, are wanted."""
    if pa.types.is_list(column.type):
        before = np.append(0, np.cumsum(fits(column.values, name, wanted)))
        return np.diff(before[column.offsets.to_numpy()]) > 0
    if pa.types.is_fixed_size_list(column.type):
        raise InputError(f"where {name!r}: the column holds vectors, which cannot be compared")
    if not pa.types.is_dictionary(column.type):
        if pa.types.is_timestamp(column.type):
            return _fit_numbers(column.cast(pa.int64()).to_numpy(), name, wanted, per_second=10**9)
        return _fit_numbers(numbers_of(column), name, wanted)
    words = words_of(column)
    if not isinstance(wanted, tuple):
        fit = words.astype(str).isin([_word(value) for value in wanted])
    elif pd.api.types.is_numeric_dtype(words.dtype):
        fit = _fit_numbers(words.to_numpy(), name, wanted)
    else:
        example = f" such as {shown(words[0])}" if len(words) else ""
        raise InputError(
            f"where {name!r} has the bounds {wanted!r}, but holds words{example}; give a list of allowed ones"
        )
    return np.append(fit, False)[codes_of(column)]


def _fit_numbers(numbers: np.ndarray, name: str, wanted: Wanted, per_second: int = 1) -> np.ndarray:
    """(N,) bool, which numbers, NaN where one is missing, are within the bounds or among the values."""
    if not isinstance(wanted, tuple):
        exact = [_number(value, name) * per_second for value in wanted]
        floats = numbers.dtype.kind == "f"
        return np.isin(numbers, [comparable(value, numbers) for value in exact if floats or value % 1 == 0])
    low, high = (None if bound is None else _number(bound, name) * per_second for bound in wanted)
    if low is not None and high is not None and low > high:
        raise InputError(f"where {name!r} has bounds in the wrong order, received {wanted!r}")
    fit = ~np.isnan(numbers)
    if low is not None:
        fit &= numbers >= comparable(low, numbers)
    if high is not None:
        fit &= numbers <= comparable(high, numbers, math.floor)
    return fit


def _word(value: Any) -> str:
    """An allowed value as it is written in a column of words, where integers have no point."""
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    whole = isinstance(value, float | np.floating) and float(value).is_integer() and abs(float(value)) < 2**53
    return str(int(value)) if whole else str(value)


def _number(value: Any, name: str) -> float | Fraction:
    """A bound or an allowed value as a number, an integer as such; that of a timestamp may be a date."""
    if name == "timestamp":
        return instant(f"where {name!r}", value)
    found = number_as_written(value)
    if found is None:
        raise InputError(f"where {name!r} takes numbers, received {value!r}")
    return found
