"""Source: where events came from, to be recorded with every figure measured on them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Order = Literal["time", "order", "none"]


@dataclass(frozen=True)
class Step:
    """What a step of reading or cleaning, such as ``min_item_events=5``, removed and left."""

    step: str
    removed: int
    left: int
    users: int
    items: int

    def __str__(self) -> str:
        return (
            f"{self.step}: removed {self.removed:,} events, left {self.left:,} events "
            f"of {self.users:,} users and {self.items:,} items"
        )


@dataclass(frozen=True)
class SideMatch:
    """How many of the distinct ids of the events have a row in a side table, as it was read."""

    table: str
    entity: str
    matched: int
    ids: int

    def __str__(self) -> str:
        return f"{self.table} has a row for {self.matched:,} of {self.ids:,} {self.entity}s"


@dataclass(frozen=True)
class Source:
    """Where events came from, to be recorded with every figure measured on them.

    Args:
        name: the data set's name or the path as the user gave it; ``DataFrame`` for a table in memory.
        sha256: checksum of the file of events (of the content of its columns for a DataFrame).
        files: checksum of every file read, by file name, with the folders before it where two share one.
        order: what orders a user's events: ``time`` (timestamps in seconds), ``order`` (the timestamp
            column holds places in a history: 0, 1, 2, ...) or ``none`` (no timestamps: the rows' order).
        ties: number of events that share user and timestamp with another; the rows' order decides.
        rows: number of rows read.
        steps: what reading and cleaning removed.
        sides: how many ids have a row in each side table.
        content: rows and checksums of the tables as they were read, see ``data.content``.
        calls: the calls that read and cleaned the events, with their arguments, as JSON holds them.
        prepared: the folder of prepared data that the events were opened from, or None.
    """

    name: str
    sha256: str
    files: dict[str, str]
    order: Order
    ties: int
    rows: int
    steps: tuple[Step, ...] = ()
    sides: tuple[SideMatch, ...] = ()
    content: Mapping[str, Any] = field(default_factory=dict)
    calls: tuple[Mapping[str, Any], ...] = ()
    prepared: str | None = None

    @property
    def ordering(self) -> str:
        """How the events of a user are ordered, in one sentence."""
        if self.order == "none":
            return "there are no timestamps: the order of the rows is the order of a user's events"
        by = "events are ordered by timestamp"
        if self.order == "order":
            by = (
                "the timestamp column holds places in a user's history, not a time "
                "(figures are not comparable with those of a file in order of time)"
            )
        if not self.ties:
            return f"{by}; no two events of a user share one"
        return f"{by}; {self.ties:,} share user and timestamp with another, the order of the rows decides"
