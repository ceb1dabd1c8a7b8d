"""Description: what describe() found, as a table and as a sheet of plots."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path

import numpy as np

from torchrec_ext.data.distribution import PERCENTS, Distribution


@dataclass(frozen=True, eq=False)
class Description:
    """Counts and distributions of events; prints as a table. None stands for what the data cannot tell.

    Args:
        name: of the data.
        about: how a user's events are ordered, or how the part was made, in one sentence.
        rows: number of events.
        users: number of users who have events.
        items: number of items that have events.
        pairs: number of pairs of a user and an item that have an event.
        history_lengths: of the users' numbers of events.
        popularity: (items,) int64 numbers of events of the items, descending.
        times: of the timestamps, in seconds.
        gaps: of the seconds between a user's consecutive events.
        ratings: of the ratings.
        types: number of events of each type, descending.
        missing: column -> share of missing values; ``users.age`` is of a side table.
        steps: what reading and cleaning removed.
        part: the part of a split that is described; empty for all events.
        sides: how many ids have a row in each side table, as it was read.
        history_only: number of events that are neither learnt nor predicted: their type weighs 0, or they
            lack an item where others have one.
    """

    name: str
    about: str
    rows: int
    users: int | None
    items: int | None
    pairs: int | None
    history_lengths: Distribution | None
    popularity: np.ndarray | None
    times: Distribution | None
    gaps: Distribution | None
    ratings: Distribution | None
    types: Mapping[str, int] | None
    missing: Mapping[str, float]
    steps: tuple[str, ...]
    part: str = ""
    sides: tuple[str, ...] = ()
    history_only: int = 0

    @property
    def density(self) -> float | None:
        """Share of the pairs of a user and an item that have an event."""
        if self.pairs is None or not self.users or not self.items:
            return None
        return self.pairs / (self.users * self.items)

    @property
    def head(self) -> float | None:
        """Share of the events that the most popular 1% of the items have (at least one item)."""
        if self.popularity is None or not len(self.popularity):
            return None
        return float(self.popularity[: ceil(len(self.popularity) / 100)].sum() / self.popularity.sum())

    @property
    def period(self) -> str | None:
        """From the first to the last day."""
        if self.times is None:
            return None
        first, last = self.times.quantiles[[0, -1]]
        return f"{_day(first)} to {_day(last)} ({duration(last - first)})"

    def __str__(self) -> str:
        counts: list[tuple[str, ...]] = [
            ("events", f"{self.rows:,}"),
            ("users", _or_none(self.users, "{:,}", "no column of users")),
            ("items", _or_none(self.items, "{:,}", "no column of items")),
            ("density", _or_none(self.density, "{:.3%} of the pairs of a user and an item have an event")),
            ("head", _or_none(self.head, "{:.1%} of the events are of the most popular 1% of the items")),
            ("period", self.period or "no times"),
        ]
        if self.history_only:
            share = f"{self.history_only:,} ({self.history_only / self.rows:.1%})"
            counts.append(("history", f"{share} of the events are only read as history"))
        if self.types is not None:
            shares = [f"{word} {count:,} ({count / self.rows:.1%})" for word, count in self.types.items()]
            more = [f"{len(shares) - 8} others"] if len(shares) > 8 else []
            counts.append(("types", ", ".join([*shares[:8], *more])))
        gone = [f"{name} {share:.1%}" for name, share in self.missing.items() if share > 0]
        counts.append(("missing", ", ".join(gone) or f"nothing in {len(self.missing)} columns"))
        counts += [("tables", side) for side in self.sides]
        counts += [("removed", step) for step in self.steps] or [("removed", "nothing")]
        name = f"{self.name}, {self.part}" if self.part else self.name
        return "\n".join([f"{name}: {self.about}", "", *_aligned(counts), "", *self._quantiles()])

    def draw(self, path: str | Path) -> None:
        """Writes a sheet of six plots as a PNG; a plot whose data is absent says so.

        Args:
            path: the file to write; its folder is made.
        """
        from torchrec_ext.data import sheet  # matplotlib takes its time to import

        Panel, histogram, gaps = sheet.Panel, sheet.histogram, self.gaps
        users, items = (f"no column of {entity}s" for entity in ("user", "item"))
        popular = _or_none(self.head, "{:.1%} of the events\nin the top 1%")
        same = f" ({gaps.below / gaps.total:.1%} at the same second)" if gaps and gaps.below else ""
        missing = {name: share for name, share in self.missing.items() if share} or None
        complete = f"nothing is missing in {len(self.missing)} columns"
        lengths = Panel("History lengths", "events of a user", "users", absent=users)
        popularity = Panel("Item popularity", "rank of the item", "events", absent=items)
        times = Panel("Events over time", "", "events", absent="no times")
        waits = Panel("Gaps in time", f"to the user's next event{same}", "events", absent="no gaps known")
        gone = Panel("Missing values", "share of the rows", "", absent=complete)
        panels = [
            lengths.filled(partial(histogram, axis="log"), self.history_lengths),
            popularity.filled(partial(sheet.rank_frequency, note=popular), self.popularity),
            times.filled(partial(histogram, axis="date"), self.times),
            waits.filled(partial(histogram, axis="duration"), gaps),
            gone.filled(sheet.shares, missing),
        ]
        if self.types is not None:
            of_types = {word: count / self.rows for word, count in self.types.items()}
            panels.append(Panel("Types", "share of the events", "").filled(sheet.shares, of_types))
        else:
            rated = Panel("Ratings", "rating", "events", absent="neither ratings nor types")
            panels.append(rated.filled(histogram, self.ratings))
        of = [f"{count:,} {what}" for count, what in ((self.users, "users"), (self.items, "items")) if count]
        title = f"{self.name}{f', {self.part}' if self.part else ''}: {self.rows:,} events"
        sheet.draw_sheet(panels, path, f"{title} of {' and '.join(of)}" if of else title)

    def _quantiles(self) -> list[str]:
        popularity = None if self.popularity is None else Distribution.of(self.popularity, "log")
        named = [
            ("events of a user", self.history_lengths, _number),
            ("events of an item", popularity, _number),
            ("gap to the next", self.gaps, duration),
            ("rating", self.ratings, _number),
        ]
        head = ("", *("min" if p == 0 else "max" if p == 100 else f"{p}%" for p in PERCENTS))
        rows = [(name, *map(shown, d.quantiles)) for name, d, shown in named if d is not None]
        return _aligned([head, *rows], right=True)


def duration(seconds: float) -> str:
    """Seconds in the largest unit that fits: ``45 s``, ``1.5 h``, ``214 d``.

    Example:
        >>> duration(45), duration(5400), duration(86400 * 214.3)
        ('45 s', '1.5 h', '214 d')
    """
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            value = seconds / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{round(value, 1):g} {unit}"
    return f"{round(seconds, 1):g} s"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _day(seconds: float) -> str:
    return str(np.datetime64(int(seconds), "s").astype("M8[D]"))


def _or_none(value: float | None, words: str, absent: str = "unknown") -> str:
    return absent if value is None else words.format(value)


def _aligned(rows: list[tuple[str, ...]], right: bool = False) -> list[str]:
    """Lines of columns of the same width, the first to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    place = str.rjust if right else str.ljust
    return ["  ".join([row[0].ljust(widths[0]), *map(place, row[1:], widths[1:])]).rstrip() for row in rows]
