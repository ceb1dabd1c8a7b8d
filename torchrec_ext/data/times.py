"""Times of events, for what cannot do without them."""

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError


def expect_times(events: Events, wanted_by: str, instead: str) -> np.ndarray:
    """(N,) seconds of the events.

    Args:
        events: N events.
        wanted_by: what needs them, such as ``by_time``.
        instead: what to do without them.

    Raises:
        InputError: if there are none, or if they are places in a history and no times.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data.reading.read import read_events
        >>> visits = pd.DataFrame({"user": [1, 1], "item": [7, 8], "time": [1000, 2000]})
        >>> expect_times(read_events(visits), "by_time", "split by leave_last_out")
        array([1000, 2000])
    """
    times = events.numbers("timestamp")
    if events.source.order != "time" or times is None:
        raise InputError(f"{wanted_by} needs times, but {events.source.ordering}; {instead}")
    return times
