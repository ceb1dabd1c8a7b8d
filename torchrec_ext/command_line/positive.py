"""The default of the threshold from which a rating means interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from torchrec_ext.command_line.parse import parse_pairs
from torchrec_ext.errors import InputError

if TYPE_CHECKING:
    from torchrec_ext.data import Dataset
    from torchrec_ext.data.positive import Positive

STARS, CLICKS = 4.0, 1.0


def positive_or_default(positive: Sequence[str] | None, train: Dataset) -> Positive:
    """The thresholds of the setting; by default 4 for stars, from which an item is liked, and 1 for clicks.

    Args:
        positive: the setting: numbers, or a column and its least value for each task, such as ``like=1``.
        train: the training part; its ratings are clicks if none is above 1.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> clicks = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "rating": [0, 1, 1, 0]})
        >>> train, valid, test = leave_last_out(read_events(clicks))
        >>> positive_or_default(None, train), positive_or_default(("0.5",), train)
        ((1.0,), (0.5,))
        >>> positive_or_default(("rating=1", "like=1"), train)
        {'rating': 1.0, 'like': 1.0}
    """
    if positive is not None:
        columns = any("=" in word for word in positive)
        pairs = parse_pairs(positive, "positive") if columns else {str(n): w for n, w in enumerate(positive)}
        values = {name: _number(value) for name, value in pairs.items()}
        return values if columns else tuple(values.values())
    ratings = train.events.ratings
    return (STARS if ratings is None or np.nanmax(ratings) > 1 else CLICKS,)


def _number(word: str) -> float:
    from torchrec_ext.data.as_written import number_as_written

    found = number_as_written(word)
    if found is None or not np.isfinite(found):
        raise InputError(f"--positive {word} is not a number; give one such as 4, or a column such as like=1")
    return float(found)
