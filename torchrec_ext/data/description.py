"""describe(): counts and distributions of events, as a table and as a sheet of plots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_PERCENTS = (0, 25, 50, 75, 90, 99, 100)


@dataclass(frozen=True, eq=False)
class Description:
    """Counts and distributions of events; prints as a table. None stands for what the data cannot tell.

    Args:
        name: of the data.
        about: how a user's events are ordered, or how the part was made, in one sentence.
        rows: number of events.
        pairs: number of pairs of a user and an item that have an event.
        history_lengths: (users,) int64 number of events of each user who has any, descending.
        popularity: (items,) int64 number of events of each item that has any, descending.
        times: (rows,) timestamps in seconds.
        gaps: (n,) seconds between a user's consecutive events.
        ratings: (rows,) ratings.
        types: number of events of each type, descending.
        missing: column -> share of missing values; ``users.age`` is of a side table.
        steps: what reading and cleaning removed.
        sides: how many ids have a row in each side table, as it was read.
        history_only: number of events that are neither learnt nor predicted, see ``Events.is_target``.
        part: the part of a split that is described; empty for all events.
    """

    name: str
    about: str
    rows: int
    pairs: int | None
    history_lengths: np.ndarray | None
    popularity: np.ndarray | None
    times: np.ndarray | None
    gaps: np.ndarray | None
    ratings: np.ndarray | None
    types: Mapping[str, int] | None
    missing: Mapping[str, float]
    steps: tuple[str, ...]
    sides: tuple[str, ...]
    history_only: int
    part: str = ""

    @property
    def users(self) -> int | None:
        """Number of users who have events."""
        return None if self.history_lengths is None else len(self.history_lengths)

    @property
    def items(self) -> int | None:
        """Number of items that have events."""
        return None if self.popularity is None else len(self.popularity)

    @property
    def density(self) -> float | None:
        """Share of the pairs of a user and an item that have an event."""
        return self.pairs / (self.users * self.items) if self.pairs and self.users and self.items else None

    @property
    def head(self) -> float | None:
        """Share of the events that the most popular 1% of the items have (at least one item)."""
        if self.popularity is None or not len(self.popularity):
            return None
        return float(self.popularity[: ceil(len(self.popularity) / 100)].sum() / self.popularity.sum())

    @property
    def title(self) -> str:
        """The name of the data, and of the part."""
        return f"{self.name}, {self.part}" if self.part else self.name

    def __str__(self) -> str:
        counts = [
            ("events", f"{self.rows:,}"),
            ("users", _or_none(self.users, "{:,}", "no column of users")),
            ("items", _or_none(self.items, "{:,}", "no column of items")),
            ("density", _or_none(self.density, "{:.3%} of the pairs of a user and an item have an event")),
            ("head", _or_none(self.head, "{:.1%} of the events are of the most popular 1% of the items")),
            ("period", "no times" if self.times is None or not self.rows else _period(self.times)),
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
        counts += [("removed", step) for step in self.steps or ("nothing",)]
        table: list[Sequence[str]] = [("", "min", *(f"{percent}%" for percent in _PERCENTS[1:-1]), "max")]
        for name, values, shown in (
            ("events of a user", self.history_lengths, _number),
            ("events of an item", self.popularity, _number),
            ("gap to the next", self.gaps, duration),
            ("rating", self.ratings, _number),
        ):
            if values is not None and np.isfinite(values).any():
                found = np.percentile(values[np.isfinite(values)], _PERCENTS)
                table.append((name, *map(shown, found)))
        lines = [f"{name:<7}  {value}" for name, value in counts]
        return "\n".join([f"{self.title}: {self.about}", "", *lines, "", *aligned(table)])

    def draw(self, path: str | Path) -> None:
        """Writes a sheet of six plots as a PNG; a plot whose data is absent says so.

        Args:
            path: the file to write; its folder is made.
        """
        from torchrec_ext.data import sheet  # matplotlib takes its time to import

        of = [f"{n:,} {what}" for n, what in ((self.users, "users"), (self.items, "items")) if n]
        title = f"{self.title}: {self.rows:,} events{' of ' if of else ''}{' and '.join(of)}"
        figure, plots = sheet.six_plots(title)
        words = ("History lengths", "events of a user", "users", "no column of users")
        sheet.histogram(plots[0], self.history_lengths, words, "log")
        words = ("Item popularity", "rank of the item", "events", "no column of items")
        sheet.rank_frequency(plots[1], self.popularity, words, _or_none(self.head, "the top 1% have {:.1%}"))
        sheet.histogram(plots[2], self.times, ("Events over time", "", "events", "no times"), "date")
        ties = 0 if self.gaps is None or not len(self.gaps) else np.mean(self.gaps <= 0)
        same = f" ({ties:.1%} at the same second)" if ties else ""
        words = ("Gaps in time", f"to the user's next event{same}", "events", "no gaps known")
        sheet.histogram(plots[3], self.gaps, words, "duration")
        missing = {name: share for name, share in self.missing.items() if share}
        complete = f"nothing is missing in {len(self.missing)} columns"
        sheet.shares(plots[4], missing, ("Missing values", "share of the rows", "", complete))
        if self.types:
            of_types = {word: count / self.rows for word, count in self.types.items()}
            sheet.shares(plots[5], of_types, ("Types", "share of the events", "", ""))
        else:
            words = ("Ratings", "rating", "events", "neither ratings nor types")
            sheet.histogram(plots[5], self.ratings, words)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="png")


def describe(events: Any) -> Description:
    """Counts and distributions of events, to print or to draw.

    Args:
        events: :class:`~torchrec_ext.data.Events`; what needs a column they lack is left out.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import read_events
        >>> visits = pd.DataFrame({"user": list("aab"), "item": [7, 8, 7], "time": [1000, 1060, 5000]})
        >>> described = describe(read_events(visits))
        >>> described.rows, described.users, described.density, described.gaps
        (3, 2, 0.75, array([60]))
    """
    columns = {name: events.table[name] for name in events.columns}
    for entity, side in (("user", events.users), ("item", events.items)):
        if side is not None:
            of_side = side.drop(columns=entity).items()
            columns |= {f"{entity}s.{name}": pa.array(column, from_pandas=True) for name, column in of_side}
    users, items = (events.codes(name) if name in columns else None for name in ("user", "item"))
    times = events.numbers("timestamp") if events.source.order == "time" else None
    gaps = types = None
    if users is not None and times is not None:
        order = events.by_user_and_time
        owners = users[order]
        gaps = np.diff(times[order])[(owners[1:] == owners[:-1]) & (owners[1:] >= 0)]
    if "type" in columns:
        types = {str(events.distinct("type")[code]): n for code, n in events.counts("type").items()}
    return Description(
        name=events.source.name,
        about=events.source.ordering,
        rows=len(events),
        pairs=None if users is None or items is None else _distinct_pairs(users, items),
        history_lengths=None if users is None else events.counts("user").to_numpy(),
        popularity=None if items is None else events.counts("item").to_numpy(),
        times=times,
        gaps=gaps,
        ratings=events.numbers("rating"),
        types=types,
        missing={name: _missing(column) for name, column in columns.items()},
        steps=tuple(map(str, events.source.steps)),
        sides=tuple(map(str, events.source.sides)),
        history_only=int((~events.is_target()).sum()),
    )


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of words as lines of a table; the first column is left-aligned."""
    first, *widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([row[0].ljust(first), *map(str.rjust, row[1:], widths)]) for row in rows]


def duration(seconds: float) -> str:
    """Seconds in the largest unit that fits: ``45 s``, ``1.5 h``, ``214 d``."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            value = seconds / size
            return f"{value:,.0f} {unit}" if value >= 100 else f"{round(value, 1):g} {unit}"
    return f"{round(seconds, 1):g} s"


def _period(times: np.ndarray) -> str:
    first, last = np.nanmin(times), np.nanmax(times)
    days = [str(np.datetime64(int(time), "s").astype("M8[D]")) for time in (first, last)]
    return f"{' to '.join(days)} ({duration(last - first)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == round(value) else f"{value:,.1f}"


def _or_none(value: float | None, words: str, absent: str = "unknown") -> str:
    return absent if value is None else words.format(value)


def _distinct_pairs(users: np.ndarray, items: np.ndarray) -> int:
    """Number of pairs of a user and an item that have an event."""
    known = (users >= 0) & (items >= 0)
    pairs = users[known].astype(np.int64) << 32 | items[known]
    pairs.sort()  # np.unique takes six times as long
    return int((np.diff(pairs, prepend=-1) != 0).sum())


def _missing(column: pa.Array | pa.ChunkedArray) -> float:
    """Share of the values that are missing; an empty list is missing."""
    gone = pc.is_null(column, nan_is_null=True)
    if pa.types.is_list(column.type):
        gone = pc.fill_null(pc.equal(pc.list_value_length(column), 0), True)
    return float(pc.mean(gone).as_py() or 0)
