"""By user: some users are held out, and served from what is known of them."""

from pathlib import Path

import numpy as np

from torchrec_ext.data.columns import codes_of, used
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import TRAIN
from torchrec_ext.data.splits.by_ratio import draw
from torchrec_ext.data.splits.leave_last_n import target_indices
from torchrec_ext.data.splits.parts import Parts, make_parts


@recorded_split
def by_user(
    events: Events,
    *,
    valid: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    min_count: int = 1,
    folder: Path | None = None,
) -> Parts:
    """Holds users out: nothing of theirs is learnt; their last event is the target, the others are given.

    The target is the last event that is not only read as history.

    Args:
        events: with users.
        valid: share of the users for validation, at least one of them.
        test: share of the users for test, at least one of them.
        seed: of the draw.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Returns:
        The training, validation and test part of one log; the events before the targets are
        ``given`` by the part of the targets.

    Raises:
        InputError: if the shares leave no training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1, 2, 3] * 4, "item": range(12)}))
        >>> train, valid, test = by_user(events)
        >>> [len(part) for part in (train, valid, test)], len(test.history_only)
        ([4, 1, 1], 3)
    """
    events.codes("user")
    users = used(events.table["user"])
    part = draw(len(users.dictionary), valid, test, seed)[codes_of(users)]
    history_only = part != TRAIN
    targets, bounds = target_indices(events)
    history_only[events.by_user_and_time[targets[bounds[1:][np.diff(bounds) > 0] - 1]]] = False
    protocol = f"by user: {valid:g} valid, {test:g} test, seed {seed}, last event is the target"
    return make_parts(events, part, protocol, min_count=min_count, history_only=history_only, folder=folder)
