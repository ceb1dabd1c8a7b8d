"""By time: what comes later is for validation, what comes last for test; once, or walking forward."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events, expect_times
from torchrec_ext.data.instants import Instant, Span, comparable, instant, span
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import OUT, TEST, TRAIN, VALID
from torchrec_ext.data.splits.parts import Parts, make_parts
from torchrec_ext.errors import InputError

_INSTEAD = "split by leave_last_out or by_ratio"


@recorded_split
def by_time(
    events: Events,
    *,
    valid_from: Instant,
    test_from: Instant,
    gap: Span = 0.0,
    min_count: int = 1,
    folder: Path | None = None,
) -> Parts:
    """Trains on what happened before ``valid_from``, validates until ``test_from``, tests from then on.

    With a gap, events less than ``gap`` seconds before ``valid_from`` or ``test_from`` are in no part, not
    even as history, as if a model went into service ``gap`` seconds after its data was taken.

    Args:
        events: with timestamps that are times.
        valid_from: the first instant of validation: unix seconds, or a date such as ``"2024-01-31"``, a
            ``datetime`` or a pandas ``Timestamp`` or ``Period``, in UTC if it has no zone.
        test_from: the first instant of test, likewise.
        gap: seconds, or a span such as ``"1 day"`` or a ``timedelta``.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if the timestamps are not times, an instant is neither a number nor a date, the instants
            are in the wrong order, the gap is negative or a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> days = pd.date_range("2024-01-01", periods=5)
        >>> visits = read_events(pd.DataFrame({"user": [1] * 5, "item": list("abcde"), "timestamp": days}))
        >>> [len(part) for part in by_time(visits, valid_from="2024-01-03", test_from=days[3])]
        [2, 1, 2]
    """
    ticks = expect_times(events, "by_time", _INSTEAD)
    bounds = instant("valid_from", valid_from), instant("test_from", test_from)
    if not bounds[0] < bounds[1]:
        raise InputError(f"valid_from must be before test_from, received {valid_from} and {test_from}")
    part, protocol = _cut(events, ticks, "by time", bounds, span("gap", gap, or_none=True))
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)


def rolling_windows(
    events: Events,
    *,
    test_seconds: Span,
    windows: int,
    valid_seconds: Span | None = None,
    gap: Span = 0.0,
    min_count: int = 1,
    folder: Path | None = None,
) -> Iterator[Parts]:
    """Yields splits by time, the oldest first, whose test parts follow each other up to the newest event.

    Each is a ``by_time`` with a test part of ``test_seconds``; what happens after it is in no part. All
    windows share the rows of users and items, so a model may go on from one window to the next.

    Args:
        events: with timestamps that are times.
        test_seconds: length of each test part: seconds, or a span such as ``"7 days"`` or a ``timedelta``.
        windows: number of splits.
        valid_seconds: length of each validation part, right before the test part; None: as long as that.
        gap: length of time before the validation and the test part whose events are in no part.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if timestamps are not times, an argument is wrong, or, in its turn, a part is empty.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> times = range(1000, 1600, 100)
        >>> visits = pd.DataFrame({"user": [1] * 6, "item": list("abcdef"), "timestamp": times})
        >>> for parts in rolling_windows(read_events(visits), test_seconds=100, windows=2):
        ...     [len(part) for part in parts]
        [3, 1, 1]
        [4, 1, 1]
    """
    ticks, before = expect_times(events, "rolling_windows", _INSTEAD), span("gap", gap, or_none=True)
    test = span("test_seconds", test_seconds)
    valid = test if valid_seconds is None else span("valid_seconds", valid_seconds)
    expect_at_least(1, windows=windows)
    newest = ticks.max()  # is in the last test part, which ends with the next instant there is
    following = int(newest) + 1 if ticks.dtype.kind == "i" else float(np.nextafter(newest, np.inf))
    end = Fraction(following) / events.ticks_per_second

    def window(number: int) -> Parts:
        until = end - (windows - number) * test
        bounds, name = (until - test - valid, until - test), f"window {number} of {windows}"
        part, protocol = _cut(events, ticks, name, bounds, before, until)
        own = None if folder is None else folder / f"window-{number}"
        return make_parts(events, part, protocol, min_count=min_count, folder=own)

    return map(window, range(1, windows + 1))


def _cut(
    events: Events,
    ticks: np.ndarray,
    name: str,
    bounds: tuple[Fraction, Fraction],
    gap: Fraction,
    until: Fraction | None = None,
) -> tuple[np.ndarray, str]:
    """(N,) int8 part of each event, validation and test from their bounds on, and the protocol."""
    protocol = f"{name}: valid from {float(bounds[0]):.0f}, test from {float(bounds[1]):.0f}"
    part, scale = np.full(len(events), TRAIN, np.int8), events.ticks_per_second
    for number, bound in zip((VALID, TEST), bounds, strict=True):
        reached = ticks >= comparable(bound * scale, ticks)
        part[reached] = number
        part[~reached & (ticks > comparable((bound - gap) * scale, ticks, math.floor))] = OUT
    if until is not None:
        part[ticks >= comparable(until * scale, ticks)] = OUT
        protocol += f" until {float(until):.0f}"
    if gap:
        protocol += f", {float(gap):g} s before each left out"
    return part, protocol
