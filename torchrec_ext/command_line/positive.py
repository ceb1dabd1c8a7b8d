"""The threshold from which a rating means interest, where none is told."""

from collections.abc import Sequence

import numpy as np

from torchrec_ext.data import Dataset

STARS, CLICKS = 4.0, 1.0


def positive_or_default(told: Sequence[float] | None, train: Dataset) -> tuple[float, ...]:
    """The thresholds as told, or else 4, the least of a liked item in stars, or 1 where there are clicks.

    Args:
        told: the setting.
        train: the training part, whose ratings tell clicks: none is above 1.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> clicks = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "rating": [0, 1, 1, 0]})
        >>> train, valid, test = leave_last_out(read_events(clicks))
        >>> positive_or_default(None, train), positive_or_default((0.5,), train)
        ((1.0,), (0.5,))
    """
    if told is not None:
        return tuple(told)
    ratings = train.events.ratings
    return (STARS if ratings is None or np.nanmax(ratings) > 1 else CLICKS,)
