"""Rolling windows: several splits by time, walking forward."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from torchrec_ext.checks import expect_at_least
from torchrec_ext.data.events import Events
from torchrec_ext.data.instants import Span, span
from torchrec_ext.data.split_report import OUTSIDE
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

    Each is :func:`~torchrec_ext.data.splits.by_time.by_time` with a test part of ``test_seconds``; what
    happens after it is in no part. All windows share the rows of users and items, those that come later
    too, so a model may go on from one window to the next.

    Args:
        events: with timestamps that are times.
        test_seconds: length of each test part: seconds, or a span such as ``"7 days"`` or a ``timedelta``.
        windows: number of splits.
        valid_seconds: length of each validation part, which ends where the test part begins; None makes it
            as long as the test part.
        gap: length of time before the validation and the test part whose events are in no part.
        min_count: an item with fewer events shares the unknown row.
        folder: an empty one that the log is kept in, mapped into memory; None keeps it in memory.

    Returns:
        An iterator over the training, validation and test part of each window.

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
    times = expect_times(events, "rolling_windows", "split by leave_last_out or by_ratio")
    test, before = span("test_seconds", test_seconds), span("gap", gap)
    valid = test if valid_seconds is None else span("valid_seconds", valid_seconds)
    expect_at_least(1, windows=windows)
    for name, seconds in (("test_seconds", test), ("valid_seconds", valid)):
        if not seconds > 0:
            raise InputError(f"{name} should be more than 0 seconds, received {seconds}")
    newest = times.max()  # is in the last test part, which ends with the next instant there is
    end = float(newest + 1) if times.dtype.kind == "i" else float(np.nextafter(newest, np.inf))

    def window(number: int) -> Parts:
        own = None if folder is None else folder / f"window-{number + 1}"
        test_until = end - (windows - 1 - number) * test
        test_from = test_until - test
        part = cut(times, test_from - valid, test_from, before)
        part[times >= test_until] = OUTSIDE
        protocol = (
            f"window {number + 1} of {windows}: valid from {test_from - valid:.0f}, "
            f"test from {test_from:.0f} until {test_until:.0f}"
        )
        if before:
            protocol += f", {before:g} s before each left out"
        return make_parts(events, part, protocol, min_count=min_count, folder=own)

    return map(window, range(windows))
