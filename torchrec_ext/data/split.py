"""Splits of events into train, validation and test; stable on ties, no target in its own history."""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError

Parts: TypeAlias = tuple[Dataset, Dataset, Dataset]
"""Train, validation and test."""

_TRAIN, _VALID, _TEST = range(3)
_NAMES = ("train", "valid", "test")


def leave_last_out(events: Events, *, min_count: int = 1) -> Parts:
    """A user's last event is for test, the last but one for validation, the others for training.

    A user with fewer than three events trains only. Training may learn from events that happened
    after another user's test event: the protocol of most published figures, and a mild leak.

    Args:
        events: with timestamps, or in the order of their rows; simultaneous events keep the order of
            their rows.
        min_count: an item with fewer events shares the unknown row.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if no user has three events.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> events = read_events(pd.DataFrame({"user": [1, 1, 1, 1], "item": ["a", "b", "c", "d"]}))
        >>> [len(part) for part in leave_last_out(events)]
        [2, 1, 1]
    """
    later, count = _places(events)
    part = np.full(len(events), _TRAIN)
    part[(count >= 3) & (later == 1)] = _VALID
    part[(count >= 3) & (later == 0)] = _TEST
    protocol = "leave-last-out: train all but the last two, valid last but one, test last"
    return _parts(events, part, protocol, min_count)


def by_time(events: Events, *, valid_from: float, test_from: float, min_count: int = 1) -> Parts:
    """Trains on what happened before ``valid_from``, validates until ``test_from``, tests from then on.

    Args:
        events: with timestamps that are times.
        valid_from: unix seconds; the first instant of validation.
        test_from: unix seconds; the first instant of test.
        min_count: an item with fewer events shares the unknown row.

    Returns:
        The training, validation and test part of one log.

    Raises:
        InputError: if the timestamps are no times, the instants are in the wrong order or a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> times = range(1000, 1500, 100)
        >>> visits = pd.DataFrame({"user": [1] * 5, "item": list("abcde"), "timestamp": times})
        >>> [len(part) for part in by_time(read_events(visits), valid_from=1200, test_from=1300)]
        [2, 1, 2]
    """
    if events.source.order != "time":
        raise InputError(
            f"by_time needs times, but {events.source.ordering}; split by leave_last_out or by_ratio"
        )
    if not valid_from < test_from:
        raise InputError(f"valid_from must be before test_from, received {valid_from} and {test_from}")
    times = events.numbers("timestamp")
    assert times is not None  # else the order would be none
    part = np.searchsorted(np.array([valid_from, test_from]), times, side="right")
    protocol = f"by time: valid from {valid_from:.0f}, test from {test_from:.0f}"
    return _parts(events, part, protocol, min_count)


def by_ratio(
    events: Events, *, valid: float = 0.1, test: float = 0.1, seed: int = 0, min_count: int = 1
) -> Parts:
    """Draws the events of each part at random.

    Args:
        events: any events.
        valid: share of the events for validation, at least one of them.
        test: share of the events for test, at least one of them.
        seed: of the draw.
        min_count: an item with fewer events shares the unknown row.

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
    part = _draw(len(events), valid, test, seed)
    return _parts(events, part, f"by ratio: {valid:g} valid, {test:g} test, seed {seed}", min_count)


def by_user(
    events: Events, *, valid: float = 0.1, test: float = 0.1, seed: int = 0, min_count: int = 1
) -> Parts:
    """Holds users out: nothing of theirs is learnt; their last event is the target, the others are given.

    Args:
        events: with timestamps, or in the order of their rows; simultaneous events keep the order of
            their rows.
        valid: share of the users for validation, at least one of them.
        test: share of the users for test, at least one of them.
        seed: of the draw.
        min_count: an item with fewer events shares the unknown row.

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
        >>> [len(part) for part in (train, valid, test)], len(test.given)
        ([4, 1, 1], 3)
    """
    users = events.ids("user").used()
    part = _draw(len(users.words), valid, test, seed)[users.codes]
    given = (part != _TRAIN) & (_places(events)[0] > 0)
    protocol = f"by user: {valid:g} valid, {test:g} test, seed {seed}, last event is the target"
    return _parts(events, part, protocol, min_count, given)


SPLITS: dict[str, Callable[..., Parts]] = {
    "leave_last_out": leave_last_out,
    "by_ratio": by_ratio,
    "by_user": by_user,
    "by_time": by_time,
}
"""The splits by name, as a recipe's settings name them."""


def _parts(
    events: Events, part: np.ndarray, protocol: str, min_count: int, given: np.ndarray | None = None
) -> Parts:
    """The parts as data sets.

    Args:
        events: N events.
        part: (N,) number of each event's part.
        protocol: how the parts were made.
        min_count: of items.
        given: (N,) bool, which events their part only gives as history; None for no event.
    """
    given = np.zeros(len(events), bool) if given is None else given
    for number, name in enumerate(_NAMES):
        if not (part == number).any():
            raise InputError(
                f"the {name} part of {events.source.name} is empty ({len(events):,} events, {protocol}); "
                "give more events or other settings of the split"
            )
    preparation = Preparation.fit(events, part == _TRAIN, min_count=min_count)
    log = preparation.log(events)
    part, given = part[log.source_rows], given[log.source_rows]

    def dataset(number: int) -> Dataset:
        return Dataset(
            preparation,
            log,
            rows=np.flatnonzero((part == number) & ~given),
            given=np.flatnonzero((part == number) & given),
            protocol=protocol,
            name=_NAMES[number],
        )

    return dataset(_TRAIN), dataset(_VALID), dataset(_TEST)


def _places(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """How many of its user's events are later than each event, and how many there are; (N,) int64 each."""
    codes, times = events.ids("user").codes, events.numbers("timestamp")
    order = np.lexsort((codes,) if times is None else (times, codes))
    counts = np.bincount(codes)
    later = np.empty(len(codes), np.int64)
    later[order] = np.cumsum(counts)[codes[order]] - 1 - np.arange(len(codes))
    return later, counts[codes]


def _draw(count: int, valid: float, test: float, seed: int) -> np.ndarray:
    """(count,) random parts with as many of each as its share says."""
    expect_at_least(0, seed=seed)
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise InputError(
            f"valid and test must be shares above 0 that sum to less than 1, received {valid} and {test}"
        )
    tests, valids = max(1, round(test * count)), max(1, round(valid * count))
    drawn = np.random.default_rng(seed).permutation(count)
    part = np.full(count, _TRAIN)
    part[drawn[:tests]] = _TEST
    part[drawn[tests : tests + valids]] = _VALID
    return part
