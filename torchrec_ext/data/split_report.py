"""SplitReport: what each part of a split holds, and whether training knows the future."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from torchrec_ext.data.count_seen import count_seen
from torchrec_ext.data.events import Events

PART_NAMES = ("train", "valid", "test")
OUT, TRAIN, VALID, TEST = range(-1, 3)
"""Numbers of the parts; OUT is none."""


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
        given: events that are only read as history.
        outside: events in no part.
        unrated: events to learn or to predict without a rating, where others have one.
        late: training events that happen after the earliest test event; None where times are not known.
        first_test: time of the earliest test event in seconds, None where times are not known.
        call: the call that made the split, as JSON holds it; None where it was not recorded.
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
        history_only: np.ndarray,
        protocol: str,
        catalogue: np.ndarray | None = None,
    ) -> "SplitReport":
        """Counts.

        Args:
            events: N events.
            part: (N,) number of each event's part, -1 for none.
            history_only: (N,) bool, which events are only read as history.
            protocol: how the parts were made.
            catalogue: (words,) bool, which items training learns from; None for those of its events.

        Example:
            >>> import pandas as pd
            >>> from torchrec_ext.data import read_events
            >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 2000, 3000]})
            >>> parts, none = np.array([0, 1, 2]), np.zeros(3, bool)
            >>> print(SplitReport.of(read_events(visits), parts, none, "by time"))
            by time
            part   events  users  items  cold users  cold items  seen before  not in catalogue
            train       1      1      1           -           -            -                 -
            valid       1      1      1           0           1            0                 1
            test        1      1      1           1           0            0                 0
            no training event happens after the earliest test event (1970-01-01)
        """
        rows = [(part == number) & ~history_only for number in range(len(PART_NAMES))]
        users, items = ([_occurring(events, name, mask) for mask in rows] for name in ("user", "item"))
        trained = _occurring(events, "item", part == TRAIN)
        known = np.ones(len(events), bool)
        if len(trained):
            known = np.append(trained if catalogue is None else catalogue, False)[events.codes("item")]
        parts, pairs = [], len(users[TRAIN]) and len(trained)
        for number, (name, mask) in enumerate(zip(PART_NAMES, rows, strict=True)):
            before = np.any(rows[:number], axis=0)
            found = PartReport(
                name,
                events=int(mask.sum()),
                users=int(users[number].sum()),
                items=int(items[number].sum()),
                cold_users=int((users[number] & ~users[TRAIN]).sum()),
                cold_items=int((items[number] & ~trained).sum()),
                seen=count_seen(events, mask & known, before) if number and pairs else 0,
                outside=int((mask & ~known).sum()),
            )
            parts.append(found)
        ratings, ticks = events.numbers("rating"), events.ticks
        unrated = 0 if ratings is None else int((np.isnan(ratings) & np.any(rows, axis=0)).sum())
        late = first_test = None
        if events.source.order == "time" and ticks is not None:
            first = ticks[rows[TEST]].min()
            late, first_test = int((ticks[rows[TRAIN]] > first).sum()), float(first / events.ticks_per_second)
        given, outside = int((history_only & (part != OUT)).sum()), int((part == OUT).sum())
        return cls(protocol, tuple(parts), given, outside, unrated, late, first_test)

    @property
    def leak(self) -> str:
        """Whether training knows a future that the test does not, in one sentence."""
        if self.late is None or self.first_test is None:
            return "times are not known, so nobody can tell whether training events happen after test events"
        first = f"the earliest test event ({np.datetime64(int(self.first_test), 's').astype('M8[D]')})"
        if not self.late:
            return f"no training event happens after {first}"
        total = self.parts[TRAIN].events
        return (
            f"the future leaks into training: {self.late:,} of {total:,} training events "
            f"({self.late / total:.1%}) happen after {first}"
        )

    def __str__(self) -> str:
        rows: list[tuple[str, ...]] = [("part", *_COLUMNS.values())]
        for number, part in enumerate(self.parts):
            counts = {name: f"{getattr(part, name):,}" for name in _COLUMNS}
            if number == TRAIN:
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


def _occurring(events: Events, entity: str, mask: np.ndarray) -> np.ndarray:
    """(words,) bool, which ids have an event among those marked; (0,) where the data has none."""
    if entity not in events.table.column_names:
        return np.zeros(0, bool)
    there = np.zeros(len(events.distinct(entity)) + 1, bool)  # the last is that of events without one
    there[events.codes(entity)[mask]] = True
    return there[:-1]
