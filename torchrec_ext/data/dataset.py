"""Dataset: one part of a split."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from torchrec_ext.data.description import Description
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.split_report import SplitReport
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema


@dataclass(frozen=True, eq=False)
class Dataset:
    """The events of one part; all parts of a split share one log.

    Args:
        preparation: how ids became rows.
        log: every event of every part, and those in none.
        rows: (n,) int64 ascending positions in the log of this part's events.
        history_only: (m,) int64 ascending positions of events that a history may hold, but that are neither
            learnt nor predicted: earlier events of held-out users, and those that weigh 0 or lack an item.
        name: ``train``, ``valid``, ``test`` or a sum of them.
        report: what each part of the split holds; all parts share it.
        table: the events as they were read, of which ``log.source_rows`` are the rows.
        part_log: the log of this part's events alone, if it is kept in a folder; None makes it when needed.
    """

    preparation: Preparation
    log: EventLog
    rows: np.ndarray
    history_only: np.ndarray
    name: str
    report: SplitReport
    table: Events
    part_log: EventLog | None = None

    def __len__(self) -> int:
        """Number of events."""
        return len(self.rows)

    def __add__(self, other: "Dataset") -> "Dataset":
        """The events of both parts of one split: ``train + valid`` is known when ``test`` is predicted."""
        if other.log is not self.log:
            raise InputError(f"{self.name} + {other.name}: the parts must come from one split")
        return replace(
            self,
            rows=self._either(self.rows, other.rows),
            history_only=self._either(self.history_only, other.history_only),
            name=f"{self.name} + {other.name}",
            part_log=None,
        )

    @property
    def protocol(self) -> str:
        """How the parts were made, in words."""
        return self.report.protocol

    @property
    def schema(self) -> Schema:
        """The features and tables of the data."""
        return self.preparation.schema

    @cached_property
    def events(self) -> EventLog:
        """This part's events alone, as a log."""
        return self.log.select(self.rows) if self.part_log is None else self.part_log

    def table_part(self) -> Events:
        """This part's rows of the table, in its order."""
        mine = np.zeros(len(self.table), bool)
        mine[self.log.source_rows[self.rows]] = True
        return self.table.take(mine)

    def describe(self) -> Description:
        """Counts and distributions of this part's events, see :meth:`Events.describe`."""
        described = self.table_part().describe()
        return replace(described, part=f"{self.name} part", about=self.protocol)

    def known_before(self, targets: "Dataset") -> tuple[EventLog, np.ndarray]:
        """What is known before each of the n targets: this part's events, and both parts' history.

        Args:
            targets: a part of the same split, else InputError; it may be this part itself.

        Returns:
            The log of the known events, and the (n,) int64 position in it before which the known events of
            each target's user end. No target stands in its own history.

        Example:
            >>> import pandas as pd
            >>> from torchrec_ext.data import leave_last_out, read_events
            >>> events = read_events(pd.DataFrame({"user": [1, 1, 1], "item": [70, 80, 90]}))
            >>> train, valid, test = leave_last_out(events)
            >>> log, ends = (train + valid).known_before(test)
            >>> log.items.tolist(), ends
            ([1, 2], array([2]))
        """
        if targets.log is not self.log:
            raise InputError(f"{self.name} and {targets.name} come from two splits; use parts of one")
        also = self._either(self.history_only, targets.history_only)
        if not len(also):
            return self.events, np.searchsorted(self.rows, targets.rows)
        known = self._either(self.rows, also)
        return self.log.select(known), np.searchsorted(known, targets.rows)

    def _either(self, rows: np.ndarray, others: np.ndarray) -> np.ndarray:
        """Ascending rows of the log that are among one or the other, without the hashes of ``np.union1d``."""
        chosen = np.zeros(len(self.log.items), bool)
        chosen[rows] = chosen[others] = True
        return np.flatnonzero(chosen)

    def before_first_target(self) -> "Dataset":
        """The part without history after a user's first target, since all of a user are predicted at once."""
        users = np.searchsorted(self.log.offsets, self.rows, side="right") - 1
        owners = np.searchsorted(self.log.offsets, self.history_only, side="right") - 1
        first = np.full(len(self.log.user_ids), -1)
        first[users[::-1]] = self.rows[::-1]
        return replace(self, history_only=self.history_only[self.history_only < first[owners]])


def expect_part(name: str, part: object) -> None:
    """Refuses what is not a part of a split with an InputError; ``name`` is that of the argument."""
    if isinstance(part, Dataset):
        return
    remedy = ", which splits events into train, valid and test" if isinstance(part, Events) else ""
    raise InputError(
        f"{name} should be a part of a split (a Dataset), received {type(part).__name__}; "
        f"make one with data.leave_last_out or another split{remedy}"
    )
