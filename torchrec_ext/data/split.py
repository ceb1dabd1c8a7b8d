"""Splits of events into train, validation and test; stable on ties, no target in its own history."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError

Parts = tuple[Dataset, Dataset, Dataset]


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
    """
    from_end = _places(events)[1]
    enough = _per_user(events) >= 3
    part = np.where(enough & (from_end == 0), 2, np.where(enough & (from_end == 1), 1, 0))
    return _parts(events, part, "leave-last-out: train all but the last two, valid last but one, test last", min_count)


def by_time(events: Events, *, valid_from: float, test_from: float, min_count: int = 1) -> Parts:
    """Trains on what happened before ``valid_from``, validates until ``test_from``, tests after it.

    Args:
        events: with timestamps that are times.
        valid_from: unix seconds; the first instant of validation.
        test_from: unix seconds; the first instant of test.
        min_count: see :func:`leave_last_out`.

    Raises:
        InputError: if the timestamps are no times, the instants are in the wrong order or a part is empty.
    """
    if events.source.order != "time":
        raise InputError(f"by_time needs times, but {events.source.ordering}; split by leave_last_out or by_ratio")
    if not valid_from < test_from:
        raise InputError(f"valid_from must be before test_from, received {valid_from} and {test_from}")
    times = events.frame["timestamp"].to_numpy()
    part = np.searchsorted(np.array([valid_from, test_from]), times, side="right")
    return _parts(events, part, f"by time: valid from {valid_from:.0f}, test from {test_from:.0f}", min_count)


def by_ratio(events: Events, *, valid: float = 0.1, test: float = 0.1, seed: int = 0, min_count: int = 1) -> Parts:
    """Draws the events of each part at random.

    Args:
        events: any events.
        valid: share of the events for validation.
        test: share of the events for test.
        seed: of the draw.
        min_count: see :func:`leave_last_out`.

    Raises:
        InputError: if the shares leave no training part or a part is empty.
    """
    _check_shares(valid, test)
    drawn = np.random.default_rng(seed).random(len(events))
    part = np.where(drawn < test, 2, np.where(drawn < test + valid, 1, 0))
    return _parts(events, part, f"by ratio: {valid:g} valid, {test:g} test, seed {seed}", min_count)


def by_user(events: Events, *, valid: float = 0.1, test: float = 0.1, seed: int = 0, min_count: int = 1) -> Parts:
    """Holds users out: nothing of theirs is learnt; their last event is the target, the earlier ones are given.

    Args:
        events: see :func:`leave_last_out`.
        valid: share of the users for validation.
        test: share of the users for test.
        seed: of the draw.
        min_count: see :func:`leave_last_out`.

    Raises:
        InputError: if the shares leave no training part or a part is empty.
    """
    _check_shares(valid, test)
    codes, ids = pd.factorize(events.frame["user"])
    drawn = np.random.default_rng(seed).random(len(ids))[codes]
    part = np.where(drawn < test, 2, np.where(drawn < test + valid, 1, 0))
    held_out = part > 0
    given = held_out & (_places(events)[1] > 0)
    target = np.where(given, part + 10, part)
    return _parts(events, target, f"by user: {valid:g} valid, {test:g} test, seed {seed}, last event is the target", min_count)


def _parts(events: Events, part: np.ndarray, protocol: str, min_count: int) -> Parts:
    """Part 0, 1, 2 of each event, or 11, 12 for one that is given to part 1, 2 as history."""
    for number, name in enumerate(("train", "valid", "test")):
        if not (part == number).any():
            raise InputError(
                f"the {name} part of {events.source.name} is empty ({len(events):,} events, {protocol}); "
                "give more events or other settings of the split"
            )
    preparation = Preparation.fit(events, part == 0, min_count=min_count)
    log = preparation.log(events)
    sorted_part = part[log.source_rows]

    def dataset(number: int, name: str) -> Dataset:
        return Dataset(
            preparation, log, np.flatnonzero(sorted_part == number), protocol, name,
            given=np.flatnonzero(sorted_part == number + 10),
        )  # fmt: skip

    return dataset(0, "train"), dataset(1, "valid"), dataset(2, "test")


def _places(events: Events) -> tuple[np.ndarray, np.ndarray]:
    """Place of each event among its user's, from the first and from the last, in order of time."""
    codes = pd.factorize(events.frame["user"])[0]
    keys = (events.frame["timestamp"].to_numpy(), codes) if "timestamp" in events.frame else (codes,)
    order = np.lexsort(keys)
    counts = np.bincount(codes)
    starts = np.cumsum(counts) - counts
    place = np.empty(len(codes), np.int64)
    place[order] = np.arange(len(codes)) - starts[codes[order]]
    return place, counts[codes] - 1 - place


def _per_user(events: Events) -> np.ndarray:
    codes = pd.factorize(events.frame["user"])[0]
    return np.bincount(codes)[codes]


def _check_shares(valid: float, test: float) -> None:
    if not (0 < valid < 1 and 0 < test < 1 and valid + test < 1):
        raise InputError(f"valid and test must be shares above 0 that sum to less than 1, received {valid} and {test}")


SPLITS: dict[str, Callable[..., Parts]] = {
    "leave_last_out": leave_last_out,
    "by_ratio": by_ratio,
    "by_user": by_user,
    "by_time": by_time,
}
"""The splits by name, as a recipe's settings name them."""
