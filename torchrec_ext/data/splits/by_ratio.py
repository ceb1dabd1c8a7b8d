"""By ratio: the events of each part are drawn at random."""

from pathlib import Path

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.splits.draw import draw
from torchrec_ext.data.splits.parts import TRAIN, Parts, make_parts
from torchrec_ext.data.splits.places import is_target


@recorded_split
def by_ratio(
    events: Events,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    min_count: int = 1,
    folder: Path | None = None,
) -> Parts:
    """Draws the events of each part at random; those that are only read as history stay in training.

    Args:
        events: any events.
        valid: share of the events for validation, at least one of them.
        test: share of the events for test, at least one of them.
        seed: of the draw.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if the shares leave no training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": range(20), "item": range(20)}))
        >>> [len(part) for part in by_ratio(events, valid=0.1, test=0.2)]
        [14, 2, 4]
    """
    targets = is_target(events)
    part = np.full(len(events), TRAIN, np.int8)
    part[targets] = draw(int(targets.sum()), valid, test, seed)
    protocol = f"by ratio: {valid:g} valid, {test:g} test, seed {seed}"
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)
