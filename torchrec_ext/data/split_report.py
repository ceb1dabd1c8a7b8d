"""SplitReport: what each part of a split holds, and whether training knows the future."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.coded import Coded, Column
from torchrec_ext.data.count_seen import count_seen
from torchrec_ext.data.events import Events

PART_NAMES = ("train", "valid", "test")
OUTSIDE = -1
"""The number of no part."""


@dataclass(frozen=True)
class PartReport:
    """What one part holds.

    Args:
        name: ``train``, ``valid`` or ``test``.
        events: number of events to learn or to predict.
        users: number of users who have them.
        items: number of items in them.
        cold_users: number of these users who have no event in the training part.
        cold_items: number of these items that have no event in the training part.
        seen: number of events whose user has an event with their item in a part before this one.
        outside: number of events whose item is not in the catalogue.
    """

    name: str
    events: int
    users: int
    items: int
    cold_users: int
    cold_items: int
    seen: int = 0
    outside: int = 0


@dataclass(frozen=True)
class SplitReport:
    """What the parts of a split hold; prints as a table.

    Args:
        protocol: how the parts were made, in words.
        parts: train, valid and test.
        given: events that are only read as history: of held-out users, of a type that weighs 0, or without an
            item.
        outside: events in no part.
        unrated: events to learn or to predict without a rating, where others have one.
        late: training events that happen after the earliest test event; None where times are not known.
        first_test: time of the earliest test event in seconds, None where times are not known.
        call: the call that made the split, with its arguments, as JSON holds them; None where it was not
            recorded.
    """

    protocol: str
    parts: tuple[PartReport, ...]
    given: int = 0
    outside: int = 0
    unrated: int = 0
    late: int | None = None
    first_test: float | None = None
    call: Mapping[str, Any] | None = None

    @classmethod
    def of(
        cls,
        events: Events,
        part: np.ndarray,
        given: np.ndarray,
        protocol: str,
        catalogue: np.ndarray | None = None,
    ) -> "SplitReport":
        """Counts.

        Args:
            events: N events.
            part: (N,) number of each event's part, -1 for none.
            given: (N,) bool, which events are only read as history.
            protocol: how the parts were made.
            catalogue: (words,) bool, which items training learns from; None for those of its events.

        Example:
            >>> import pandas as pd
            >>> from torchrec_ext.data.reading.read import read_events
            >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 2000, 3000]})
            >>> report = SplitReport.of(
            ...     read_events(visits), np.array([0, 1, 2]), np.zeros(3, bool), "by time"
            ... )
            >>> print(report)
            by time
            part   events  users  items  cold users  cold items  seen before  not in catalogue
            train       1      1      1           -           -            -                 -
            valid       1      1      1           0           1            0                 1
            test        1      1      1           1           0            0                 0
            no training event happens after the earliest test event (1970-01-01)
        """
        rows = [(part == number) & ~given for number in range(len(PART_NAMES))]
        users, items = ([_there(events.columns.get(e), mask) for mask in rows] for e in ("user", "item"))
        trained = _there(events.columns.get("item"), part == 0)
        known = _known(events, trained if catalogue is None else catalogue)
        before = [np.zeros_like(rows[0]), rows[0], rows[0] | rows[1]]
        parts = tuple(
            PartReport(
                name,
                events=int(mask.sum()),
                users=int(u.sum()),
                items=int(i.sum()),
                cold_users=int((u & ~users[0]).sum()),
                cold_items=int((i & ~trained).sum()),
                seen=count_seen(events, mask & known, earlier),
                outside=int((mask & ~known).sum()),
            )
            for name, mask, u, i, earlier in zip(PART_NAMES, rows, users, items, before, strict=True)
        )
        ratings = events.numbers("rating")
        rated = np.ones(len(events), bool) if ratings is None else ~np.isnan(ratings)
        late = first = None
        times = events.numbers("timestamp")
        if events.source.order == "time" and times is not None:
            first = float(times[rows[2]].min())
            late = int((times[rows[0]] > first).sum())
        unrated = int((~rated & (rows[0] | rows[1] | rows[2])).sum())
        outside = int((part == OUTSIDE).sum())
        return cls(protocol, parts, int((given & (part != OUTSIDE)).sum()), outside, unrated, late, first)

    @property
    def leak(self) -> str:
        """Whether training knows a future that the test does not, in one sentence."""
        if self.late is None or self.first_test is None:
            return "times are not known, so nobody can tell whether training events happen after test events"
        first = f"the earliest test event ({np.datetime64(int(self.first_test), 's').astype('M8[D]')})"
        if not self.late:
            return f"no training event happens after {first}"
        total = self.parts[0].events
        return (
            f"the future leaks into training: {self.late:,} of {total:,} training events "
            f"({self.late / total:.1%}) happen after {first}"
        )

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("part", *_COLUMNS.values())]
        for part in self.parts:
            counts = {name: f"{getattr(part, name):,}" for name in _COLUMNS}
            if part.name == PART_NAMES[0]:
                counts |= dict.fromkeys(_OF_TARGETS, "-")
            rows.append((part.name, *counts.values()))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows]
        if self.given:
            lines.append(f"{self.given:,} events are read as history and neither learnt nor predicted")
        if self.unrated:
            lines.append(f"{self.unrated:,} events have no rating: a ranker only reads them as history")
        for part in self.parts[1:]:
            if part.seen > 0.05 * part.events:
                lines.append(
                    f"{part.seen / part.events:.1%} of the {part.name} events are of items that the user "
                    "knows: evaluate with exclude_seen=False, or no list can hold them"
                )
        if self.outside:
            lines.append(f"{self.outside:,} events are in no part")
        return "\n".join([self.protocol, *lines, self.leak])


_COLUMNS = {
    "events": "events", "users": "users", "items": "items", "cold_users": "cold users",
    "cold_items": "cold items", "seen": "seen before", "outside": "not in catalogue",
}  # fmt: skip
_OF_TARGETS = ("cold_users", "cold_items", "seen", "outside")


def _known(events: Events, catalogue: np.ndarray) -> np.ndarray:
    """(N,) bool, which events have an item of the catalogue; all, where the data has no items."""
    items = events.columns.get("item")
    return (
        np.append(catalogue, False)[items.codes] if isinstance(items, Coded) else np.ones(len(events), bool)
    )


def _there(ids: Column | None, mask: np.ndarray) -> np.ndarray:
    """(words,) bool, which ids have an event among those marked; (0,) where the data has none."""
    if not isinstance(ids, Coded):
        return np.zeros(0, bool)
    there = np.zeros(len(ids.words) + 1, bool)  # the last is that of events without one
    there[ids.codes[mask]] = True
    return there[:-1]
