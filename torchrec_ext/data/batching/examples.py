"""What all kinds of examples share: what a loader asks of them, windows of histories, and learnt ids."""

from dataclasses import replace
from typing import Protocol

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import slice_positions


class Examples(Protocol):
    """Training examples that can be batched by number, of which each has ``rows`` rows of a batch."""

    rows: int

    def sizes(self) -> np.ndarray:
        """(n,) int64 number of events that the model reads of each example; alike ones share a batch."""

    def learnt_preparation(self) -> Preparation:
        """The preparation of the training part, which knows the ids that the examples hold."""

    def weight(self, chosen: np.ndarray, salt: int) -> float:
        """Summed weight of the labels of the chosen examples in the step of this salt."""

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator, salt: int) -> Batch:
        """The batch of (B,) chosen examples of a global batch of weight ``total``.

        A rank draws from ``rng``; what is drawn for an example, on any rank alike, depends on ``salt``.
        """


def cut_windows(log: EventLog, length: int, ahead: int = 0) -> tuple[np.ndarray, ...]:
    """Users, starts and ends, (n,) int64, of windows of histories, and the (n,) weight of their targets.

    The target of an event is the one ``ahead`` of it; each event that has one is in one window. Windows are
    ``length`` long, the first of a history perhaps shorter; those without a known target are left out.
    """
    held = np.maximum(np.diff(log.offsets) - ahead, 0)
    windows = -(-held // length)
    users = np.repeat(np.arange(len(held)), windows)
    following = np.cumsum(windows)[users] - 1 - np.arange(len(users))  # windows of the user after this one
    ends = log.offsets[users] + held[users] - following * length
    starts = log.recent(users, ends, length)
    before = np.concatenate([[0.0], np.cumsum(log.target_weights())])
    weights = before[ends + ahead] - before[starts + ahead]
    useful = weights > 0
    return users[useful], starts[useful], ends[useful], weights[useful]


def learnt_ids(
    train: Dataset, inputs: Inputs, events: np.ndarray, candidates: Candidates | None = None
) -> Preparation:
    """The preparation of a training part, of whose ids only those count as trained that the examples hold.

    Nothing trains the row of a user without an example, such as one with a single event where the next one
    is learnt. The (n,) events are the targets or, where histories are read, any one at least of each user
    with an example. A ranker has no candidates.
    """
    log, preparation = train.events, train.preparation
    users = np.unique(log.users[events])
    items = None
    if candidates is None or candidates.kind == "in_batch":  # else every item competes in some step
        if inputs.max_length:
            events = slice_positions(log.offsets[users], log.offsets[users + 1])
        items = log.items[events]
    rows = log.user_rows[users] if len(log.user_rows) else users[:0]
    trained = preparation.trained.among(rows, items)
    return preparation if trained is preparation.trained else replace(preparation, trained=trained)
