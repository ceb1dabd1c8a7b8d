"""ModelRequest: a request for a list as a model reads it, and FoundItems, what the model finds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.serving.user_history import UserHistory


@dataclass(frozen=True, eq=False)
class ModelRequest:
    """A request as a model reads it: rows in place of ids.

    Args:
        history: of who asks.
        k: length.
        left_out: (n,) int64 item rows that are not in it.
        allowed: (C,) int64 ascending item rows that may be in it; None for the whole catalogue.
        context: the moment; None if unknown.
    """

    history: UserHistory
    k: int
    left_out: np.ndarray
    allowed: np.ndarray | None = None
    context: Mapping[str, Any] | None = None


@dataclass(frozen=True, eq=False)
class FoundItems:
    """(n,) int64 item rows, best first, their float32 scores, where they come from, and times in ms."""

    rows: np.ndarray
    scores: np.ndarray
    source: str
    milliseconds: Mapping[str, float]
