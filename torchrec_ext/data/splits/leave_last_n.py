"""Leave-last-n: the last events of each user are for validation and test."""

from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.data.split_report import TEST, TRAIN, VALID
from torchrec_ext.data.splits.parts import Parts, is_target, make_parts


@recorded_split
def leave_last_n(
    events: Events, valid: int = 1, test: int = 1, *, min_count: int = 1, folder: Path | None = None
) -> Parts:
    """A user's last ``test`` events are for test, the ``valid`` before them for validation.

    As ``leave_last_out``, which is the case of 1 and 1. A user with fewer than ``valid + test + 1`` events
    trains only. A test event's history holds the training and the validation events, not the test events
    before it.

    Args:
        events: with users.
        valid: number of events of each user for validation.
        test: number of events of each user for test.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if a number is below 1 or no user has enough events.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 6, "item": list("abcdef")}))
        >>> [len(part) for part in leave_last_n(events, valid=1, test=2)]
        [3, 1, 2]
    """
    expect_at_least(1, valid=valid, test=test)
    protocol = f"leave-last-n: test the last {test}, valid the {valid} before, train the others"
    return make_parts(events, last_events(events, valid, test), protocol, min_count=min_count, folder=folder)


def last_events(events: Events, valid: int, test: int) -> np.ndarray:
    """(N,) int8 part of each event, see :func:`leave_last_n`."""
    targets, bounds = target_indices(events)
    order, enough = events.by_user_and_time, np.diff(bounds) > valid + test
    ends = np.cumsum(np.bincount(events.codes("user"), minlength=len(enough)))[enough]
    valid_from, test_from = (targets[bounds[1:][enough] - last] for last in (valid + test, test))
    part = np.full(len(events), TRAIN, np.int8)
    part[order[slice_positions(valid_from, test_from)]] = VALID
    part[order[slice_positions(test_from, ends)]] = TEST
    return part


def target_indices(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Where the targets stand in ``events.by_user_and_time``, and (U + 1,) where those of each user begin.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> target_indices(read_events(pd.DataFrame({"user": ["a", "b", "a"], "item": [7, 8, 9]})))
        (array([0, 1, 2]), array([0, 2, 3]))
    """
    wanted = is_target(events)
    counts = np.bincount(events.codes("user")[wanted], minlength=len(events.distinct("user")))
    return np.flatnonzero(wanted[events.by_user_and_time]), offsets_of(counts)
