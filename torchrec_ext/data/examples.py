"""Training examples of retrieval and ranking: what one row of a batch is."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batches import Batcher
from torchrec_ext.data.candidates import Candidates
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.slices import slice_positions
from torchrec_ext.errors import InputError


class NextEvents:
    """Windows of histories, each of whose events is an input and whose next event is its target.

    A causal encoder learns every next event of a window in one pass. A history longer than
    ``inputs.max_length`` is cut into windows, the last one full.

    Args:
        train: the training part.
        inputs: what the model wants; ``max_length`` is the window.
        candidates: what competes with the targets.

    Raises:
        InputError: if no user has two events.
    """

    def __init__(self, train: Dataset, inputs: Inputs, candidates: Candidates) -> None:
        self.log = train.events
        self.batcher = Batcher(train.preparation, self.log, inputs)
        self.candidates = candidates
        self.users, self.starts, self.ends = _windows(self.log, inputs.max_length)
        if not len(self.starts):
            raise InputError(f"no user of the {train.name} part has two events: there is no next event to learn")

    def sizes(self) -> np.ndarray:
        """(n,) int64 length of each window."""
        return self.ends - self.starts

    def weight(self, chosen: np.ndarray) -> float:
        """Number of known targets in these windows."""
        return float((self._targets(chosen) > 0).sum())

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator) -> Batch:
        """The batch of these windows."""
        targets = self._targets(chosen)
        rows, log_q = self.candidates.draw(targets, rng)
        return self.batcher.batch(
            self.users[chosen], self.starts[chosen], self.ends[chosen], candidates=rows,
            labels=places(targets, rows), log_q=log_q, total=total,
        )  # fmt: skip

    def _targets(self, chosen: np.ndarray) -> np.ndarray:
        return self.log.items[slice_positions(self.starts[chosen] + 1, self.ends[chosen] + 1)]


class LastEvents:
    """One example an event: the user and all that happened before it, the event's item the target.

    For encoders that are not causal, and for models that read no history or that read the context.

    Args:
        train: the training part.
        inputs: what the model wants.
        candidates: what competes with the target.
    """

    def __init__(self, train: Dataset, inputs: Inputs, candidates: Candidates) -> None:
        self.log = train.events
        self.batcher = Batcher(train.preparation, self.log, inputs)
        self.candidates = candidates
        self.users = self.log.users
        usable = self.log.items > 0
        if inputs.max_length and not inputs.fields:
            usable &= np.arange(len(self.log)) > self.log.offsets[self.users]  # nothing to predict the first from
        self.events = np.flatnonzero(usable)
        if not len(self.events):
            raise InputError(f"the {train.name} part has no event with a history: there is nothing to learn from")

    def sizes(self) -> np.ndarray:
        """(n,) int64 length of each history, at most the longest that is kept."""
        return np.minimum(self.events - self.log.offsets[self.users[self.events]], self.batcher.inputs.max_length)

    def weight(self, chosen: np.ndarray) -> float:
        """Number of examples."""
        return float(len(chosen))

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator) -> Batch:
        """The batch of these events."""
        events = self.events[chosen]
        users, targets = self.users[events], self.log.items[events]
        rows, log_q = self.candidates.draw(targets, rng)
        return self.batcher.batch(
            users, self.log.recent(users, events, self.batcher.inputs.max_length), events,
            context={name: column[events] for name, column in self.log.context.items()},
            candidates=rows, labels=places(targets, rows), log_q=log_q, total=total,
        )  # fmt: skip


class LabelledEvents:
    """One example an event with a label: 1 where the rating is at least ``positive``, else 0.

    Args:
        targets: the part whose events are the examples.
        known: the part whose events histories may hold.
        inputs: what the model wants.
        positive: least rating of an interested user.

    Raises:
        InputError: if the events have no rating, or all have one label.
    """

    def __init__(self, targets: Dataset, known: Dataset, inputs: Inputs, positive: float = 4.0) -> None:
        self.log = targets.events
        if self.log.ratings is None:
            raise InputError("a ranker learns from ratings, but the events have no column 'rating'; map one to it")
        log, self.ends = known.known_before(targets)
        self.batcher = Batcher(targets.preparation, log, inputs)
        self.users = self.log.users
        self.labels = (self.log.ratings >= positive).astype(np.float32)
        if self.labels.min() == self.labels.max():
            raise InputError(
                f"every rating of the {targets.name} part is {'at least' if self.labels.min() else 'below'} "
                f"positive={positive:g}; choose another threshold"
            )

    def sizes(self) -> np.ndarray:
        """(n,) int64 zeros: examples are shuffled without regard to their histories."""
        return np.zeros(len(self.labels), np.int64)

    def weight(self, chosen: np.ndarray) -> float:
        """Number of examples."""
        return float(len(chosen))

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator | None = None) -> Batch:
        """The batch of these examples."""
        return self.batcher.pairs(
            self.users[chosen], self.ends[chosen], self.log.items[chosen],
            context={name: column[chosen] for name, column in self.log.context.items()},
            labels=self.labels[chosen][:, None], total=total,
        )  # fmt: skip


def places(targets_N: np.ndarray, rows_C: np.ndarray) -> np.ndarray:
    """(N,) int64 place of each target among ascending candidate rows, -1 for one that is not there."""
    found = np.searchsorted(rows_C, targets_N)
    found[rows_C[np.minimum(found, len(rows_C) - 1)] != targets_N] = -1
    return found


def _windows(log: EventLog, length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, start and end of the input slices whose next events are the targets."""
    inputs = np.maximum(np.diff(log.offsets) - 1, 0)
    windows = -(-inputs // length)
    users = np.repeat(np.arange(len(inputs)), windows)
    first = np.cumsum(windows) - windows
    from_last = windows[users] - 1 - (np.arange(len(users)) - first[users])
    ends = log.offsets[users] + inputs[users] - from_last * length
    return users, np.maximum(log.offsets[users], ends - length), ends
