"""Times of events, for what cannot do without them."""

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError


def expect_times(events: Events, wanted_by: str, instead: str) -> np.ndarray:
    """(N,) int64 or float64 ``ticks`` of the events.

    Args:
        events: N events.
        wanted_by: what needs times, such as ``by_time``.
        instead: what to do without them.

    Raises:
        InputError: if there are none, or if they are places in a history and no times.
    """
    ticks = events.ticks
    if events.source.order != "time" or ticks is None:
        raise InputError(f"{wanted_by} needs times, but {events.source.ordering}; {instead}")
    return ticks
