"""SplitReport: what each part of a split holds, and whether training knows the future."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
import pandas as pd

from torchrec_ext.data.description import aligned
from torchrec_ext.data.events import Events

PART_NAMES = ("train", "valid", "test")
OUT, TRAIN, VALID, TEST = range(-1, 3)
"""Numbers of the parts; OUT is none."""
_BLOCK = 1 << 20
"""Events looked at at a time."""
_COLUMNS = ("part", "events", "users", "items", "cold users", "cold items", "seen before", "not in catalogue")


@dataclass(frozen=True)
class PartReport:
    """Counts of one part, of events to learn or to predict.

    Cold users and items have no event in the training part. ``seen`` events have one of the same user and
    item in a part before this one; the items of those ``outside`` are not in the catalogue.
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

    Example:
        >>> from torchrec_ext.data import by_time, read_events
        >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 2000, 3000]})
        >>> print(by_time(read_events(visits), valid_from=2000, test_from=3000)[0].report)
        by time: valid from 2000, test from 3000
        part   events  users  items  cold users  cold items  seen before  not in catalogue
        train       1      1      1           -           -            -                 -
        valid       1      1      1           0           1            0                 1
        test        1      1      1           1           0            0                 0
        no training event happens after the earliest test event (1970-01-01)
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
        """Counts, from the (N,) number of each event's part and which of them are only read as history.

        ``catalogue`` (words,) bool is which items training learns from; None for those of its events.
        """
        masks = [(part == number) & ~history_only for number in range(len(PART_NAMES))]
        users, items = ([events.occurring(name, mask) for mask in masks] for name in ("user", "item"))
        trained = events.occurring("item", part == TRAIN)
        known = np.ones(len(events), bool)
        if len(trained):
            known = np.append(trained if catalogue is None else catalogue, False)[events.codes("item")]
        parts, before = [], np.zeros(len(events), bool)
        for number, (name, mask) in enumerate(zip(PART_NAMES, masks, strict=True)):
            parts.append(
                PartReport(
                    name,
                    events=int(mask.sum()),
                    users=int(users[number].sum()),
                    items=int(items[number].sum()),
                    cold_users=int((users[number] & ~users[TRAIN]).sum()),
                    cold_items=int((items[number] & ~trained).sum()),
                    seen=_count_seen(events, mask & known, before) if number else 0,
                    outside=int((mask & ~known).sum()),
                )
            )
            before |= mask
        events.release_pages()
        ratings = events.numbers("rating")
        unrated = 0 if ratings is None else int((np.isnan(ratings) & before).sum())
        events.release_pages()
        ticks = events.ticks
        late: int | None = None
        first_test: float | None = None
        if events.source.order == "time" and ticks is not None:
            first = ticks[masks[TEST]].min()
            late = int((ticks[masks[TRAIN]] > first).sum())
            first_test = float(first / events.ticks_per_second)
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
        table: list[tuple[str, ...]] = [_COLUMNS]
        for part in self.parts:
            row = (part.name, *(f"{count:,}" for count in astuple(part)[1:]))
            table.append(row if part is not self.parts[TRAIN] else (*row[:4], *"----"))
        lines = [self.protocol, *aligned(table)]
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
        return "\n".join([*lines, self.leak])


def _count_seen(events: Events, wanted: np.ndarray, known: np.ndarray) -> int:
    """Number of wanted events whose pair of user and item has a known event too; both have items."""
    if not {"user", "item"} <= {*events.columns}:
        return 0
    users, items, of_a_user = events.codes("user"), events.codes("item"), len(events.distinct("item"))

    def pairs(mask: np.ndarray, rows: slice) -> np.ndarray:
        chosen = mask[rows]
        return users[rows][chosen].astype(np.int64) * of_a_user + items[rows][chosen]

    asked, counts = np.unique(pairs(wanted, slice(None)), return_counts=True)
    table, found = pd.Index(asked), np.zeros(len(asked) + 1, bool)  # the last is that of pairs not asked for
    for start in range(0, len(events), _BLOCK):
        found[table.get_indexer(pairs(known, slice(start, start + _BLOCK)))] = True
    return int(counts[found[:-1]].sum())
