"""Times of events, for what cannot do without them."""

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.errors import InputError


def expect_times(events: Events, wanted_by: str, instead: str) -> np.ndarray:
    """(N,) ``ticks`` of the events, an InputError with what to do instead if they are not times."""
    ticks = events.ticks
    if events.source.order != "time" or ticks is None:
        raise InputError(f"{wanted_by} needs times, but {events.source.ordering}; {instead}")
    return ticks
