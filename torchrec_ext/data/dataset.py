"""Dataset: one part of a split."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Schema


@dataclass(frozen=True)
class Dataset:
    """The events of one part; all parts of a split share one log.

    Args:
        preparation: how ids became rows.
        log: every event of every part.
        rows: (n,) int64 ascending positions in the log of this part's events.
        given: (m,) int64 ascending positions of events that a history may hold beside the training
            part's although nothing was learnt from them: the first events of held-out users.
        protocol: how the parts were made, in words.
        name: ``train``, ``valid``, ``test`` or a sum of them.
    """

    preparation: Preparation
    log: EventLog
    rows: np.ndarray
    protocol: str
    name: str
    given: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __add__(self, other: "Dataset") -> "Dataset":
        """The events of both parts: ``train + valid`` is what is known when ``test`` is predicted."""
        if other.log is not self.log:
            raise InputError(f"{self.name} + {other.name}: the parts must come from one split")
        return replace(
            self,
            rows=np.union1d(self.rows, other.rows),
            given=np.union1d(self.given, other.given),
            name=f"{self.name} + {other.name}",
        )

    @property
    def schema(self) -> Schema:
        """The features and tables of the data."""
        return self.preparation.schema

    @cached_property
    def events(self) -> EventLog:
        """This part's events alone, as a log."""
        return self.log.select(self.rows)

    def known_before(self, targets: "Dataset") -> tuple[EventLog, np.ndarray]:
        """What is known before each target: this part's events and those ``targets`` gives.

        Returns:
            The log of the known events, and for each target the (n,) int64 position in it before
            which its user's known events end. No target stands in its own history.
        """
        if targets.log is not self.log:
            raise InputError(f"{self.name} and {targets.name} come from two splits; use parts of one")
        known = np.union1d(self.rows, targets.given)
        return self.log.select(known), np.searchsorted(known, targets.rows)
