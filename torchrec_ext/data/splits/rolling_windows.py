"""Rolling windows: several splits by time, walking forward."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import Span, comparable, span
from torchrec_ext.data.split_report import OUT
from torchrec_ext.data.splits.by_time import cut
from torchrec_ext.data.splits.parts import Parts, make_parts
from torchrec_ext.data.times import expect_times
from torchrec_ext.errors import InputError


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
    windows share the rows of users and items, those that come later too, so a model may go on from one
    window to the next.

    Args:
        events: with timestamps that are times.
        test_seconds: length of each test part: seconds, or a span such as ``"7 days"`` or a ``timedelta``.
        windows: number of splits.
        valid_seconds: length of each validation part, which ends where the test part begins; None makes it
            as long as the test part.
        gap: length of time before the validation and the test part whose events are in no part.
        min_count: see ``leave_last_out``.
        folder: see ``leave_last_out``.

    Raises:
        InputError: if the timestamps are not times, a number or a span makes no sense, or, when its turn
            comes, a part of a window is empty.

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
    ticks, scale = (
        expect_times(events, "rolling_windows", "split by leave_last_out or by_ratio"),
        events.ticks_per_second,
    )
    test, before = span("test_seconds", test_seconds), span("gap", gap)
    valid = test if valid_seconds is None else span("valid_seconds", valid_seconds)
    expect_at_least(1, windows=windows)
    for name, seconds in (("test_seconds", test), ("valid_seconds", valid)):
        if not seconds > 0:
            raise InputError(f"{name} should be more than 0 seconds, received {float(seconds):g}")
    newest = ticks.max()  # is in the last test part, which ends with the next instant there is
    following = int(newest) + 1 if ticks.dtype.kind == "i" else float(np.nextafter(newest, np.inf))
    end = Fraction(following) / scale

    def window(number: int) -> Parts:
        test_until = end - (windows - 1 - number) * test
        test_from = test_until - test
        valid_from = test_from - valid
        part = cut(ticks, valid_from * scale, test_from * scale, before * scale)
        part[ticks >= comparable(test_until * scale, ticks)] = OUT
        protocol = (
            f"window {number + 1} of {windows}: valid from {float(valid_from):.0f}, "
            f"test from {float(test_from):.0f} until {float(test_until):.0f}"
        )
        if before:
            protocol += f", {float(before):g} s before each left out"
        own = None if folder is None else folder / f"window-{number + 1}"
        return make_parts(events, part, protocol, min_count=min_count, folder=own)

    return map(window, range(windows))
