"""The default of the threshold from which a rating means interest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torchrec_ext.data import Dataset

STARS, CLICKS = 4.0, 1.0


def positive_or_default(positive: Sequence[float] | None, train: Dataset) -> tuple[float, ...]:
    """The thresholds of the setting; by default 4 for stars, from which an item is liked, and 1 for clicks.

    Args:
        positive: the setting.
        train: the training part; its ratings are clicks if none is above 1.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> clicks = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "rating": [0, 1, 1, 0]})
        >>> train, valid, test = leave_last_out(read_events(clicks))
        >>> positive_or_default(None, train), positive_or_default((0.5,), train)
        ((1.0,), (0.5,))
    """
    if positive is not None:
        return tuple(positive)
    ratings = train.events.ratings
    return (STARS if ratings is None or np.nanmax(ratings) > 1 else CLICKS,)
