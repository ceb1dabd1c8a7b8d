"""Positive: from which value of which column on an event is a positive example, of one task or several."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np

from torchrec_ext.data.as_written import as_written
from torchrec_ext.errors import InputError

Positive: TypeAlias = float | Sequence[float] | Mapping[str, float]
"""Least rating of a positive example, several for as many tasks, or a column and its least value for each."""


def tasks_of(positive: Positive) -> list[tuple[str, float]]:
    """Column and least value of each task.

    Example:
        >>> tasks_of(4), tasks_of((4, 5)), tasks_of({"rating": 1, "like": 1})
        ([('rating', 4.0)], [('rating', 4.0), ('rating', 5.0)], [('rating', 1.0), ('like', 1.0)])
    """
    given = positive.items() if isinstance(positive, Mapping) else (("rating", p) for p in np.ravel(positive))
    found = [(column, float(as_written(least))) for column, least in given]
    if not found:
        raise InputError(f"positive should hold at least one threshold, received {positive!r}")
    return found


def recorded(positive: Positive) -> list[float] | dict[str, float]:
    """The same as JSON, which :func:`tasks_of` takes again."""
    tasks = tasks_of(positive)
    return dict(tasks) if isinstance(positive, Mapping) else [least for _, least in tasks]


def first_task(positive: Positive) -> dict[str, float]:
    """That of the first task alone, which validation and reports are about."""
    return dict(tasks_of(positive)[:1])
