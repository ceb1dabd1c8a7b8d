"""By ratio and by user: the events or the users of each part are drawn at random."""

from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.columns import codes_of, used
from torchrec_ext.data.events import Events
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import TEST, TRAIN, VALID
from torchrec_ext.data.splits.leave_last import count_targets
from torchrec_ext.data.splits.parts import Parts, make_parts
from torchrec_ext.errors import InputError


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
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if the shares leave no training part.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": range(20), "item": range(20)}))
        >>> [len(part) for part in by_ratio(events, valid=0.1, test=0.2)]
        [14, 2, 4]
    """
    targets = events.is_target()
    part = np.full(len(events), TRAIN, np.int8)
    part[targets] = _draw(int(targets.sum()), valid, test, seed)
    protocol = f"by ratio: {valid:g} valid, {test:g} test, seed {seed}"
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)


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
    """Holds users out: nothing of theirs is learnt; their last target is predicted from what is before it.

    Args:
        events: with users.
        valid: share of the users for validation, at least one of them.
        test: share of the users for test, at least one of them.
        seed: of the draw.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Returns:
        The parts; the other events of held-out users are in the ``history_only`` of theirs.

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
    events.codes("user")  # InputError if there are none
    users = used(events.table["user"])
    part = _draw(len(users.dictionary), valid, test, seed)[codes_of(users)]
    history_only = part != TRAIN
    _, left = count_targets(events)
    history_only[events.by_user_and_time[left == 0]] = False
    protocol = f"by user: {valid:g} valid, {test:g} test, seed {seed}, last event is the target"
    return make_parts(events, part, protocol, min_count=min_count, history_only=history_only, folder=folder)


def _draw(count: int, valid: float, test: float, seed: int) -> np.ndarray:
    """(count,) int8 random parts with as many of each as its share says, at least one."""
    expect_at_least(0, seed=seed)
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise InputError(
            f"valid and test must be shares above 0 that sum to less than 1, received {valid} and {test}"
        )
    tests, valids = max(1, round(test * count)), max(1, round(valid * count))
    drawn = np.random.default_rng(seed).permutation(count)
    part = np.full(count, TRAIN, np.int8)
    part[drawn[:tests]] = TEST
    part[drawn[tests : tests + valids]] = VALID
    return part
