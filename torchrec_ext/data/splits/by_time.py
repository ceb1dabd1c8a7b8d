"""By time: what comes later is for validation, what comes last for test."""

import math
from fractions import Fraction
from pathlib import Path

import numpy as np

from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import Instant, Span, comparable, instant, span
from torchrec_ext.data.recorded_calls import recorded_split
from torchrec_ext.data.split_report import OUT, TEST, TRAIN, VALID
from torchrec_ext.data.splits.parts import Parts, make_parts
from torchrec_ext.data.times import expect_times
from torchrec_ext.errors import InputError


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

    With a gap, events less than ``gap`` seconds before ``valid_from`` or ``test_from`` are in no part:
    they are neither learnt nor predicted nor read as history, as if a model went into service ``gap``
    seconds after its data was taken. No part begins with what the part before ended with.

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
    ticks = expect_times(events, "by_time", "split by leave_last_out or by_ratio")
    first, last = instant("valid_from", valid_from), instant("test_from", test_from)
    seconds, scale = span("gap", gap), events.ticks_per_second
    if not first < last:
        raise InputError(f"valid_from must be before test_from, received {valid_from} and {test_from}")
    protocol = f"by time: valid from {float(first):.0f}, test from {float(last):.0f}"
    if seconds:
        protocol += f", {float(seconds):g} s before each left out"
    part = cut(ticks, first * scale, last * scale, seconds * scale)
    return make_parts(events, part, protocol, min_count=min_count, folder=folder)


def cut(ticks: np.ndarray, valid_from: Fraction, test_from: Fraction, gap: Fraction) -> np.ndarray:
    """(N,) int8 part of each event, see :func:`by_time`; all in ticks.

    Raises:
        InputError: if the gap is negative.
    """
    if gap < 0:
        raise InputError(f"gap should be 0 seconds or more, received {float(gap):g}")
    part = np.full(len(ticks), TRAIN, np.int8)
    for number, boundary in ((VALID, valid_from), (TEST, test_from)):
        reached = ticks >= comparable(boundary, ticks)
        part[reached] = number
        part[~reached & (ticks > comparable(boundary - gap, ticks, math.floor))] = OUT
    return part
