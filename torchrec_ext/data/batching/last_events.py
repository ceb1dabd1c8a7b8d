"""LastEvents: one example an event, with all that happened before it."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.examples import learnt_ids
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import NothingToLearn


class LastEvents:
    """One example an event: the user and what happened before it, the event's item the target.

    For encoders that are not causal, and for models that read no history or that read the context.
    Events of unknown items or of weight 0 are no examples, and where the model reads a history and nothing
    else, neither is a user's first event. InputError if there is no example.

    Args:
        train: the training part.
        inputs: what the model wants.
        candidates: what competes with the target.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 5, "item": list("abcde")}))
        >>> train = leave_last_out(events)[0]  # a, b, c
        >>> examples = LastEvents(train, Inputs(max_length=9), Candidates("catalogue", np.ones(5)))
        >>> examples.sizes(), examples.batch(np.array([0, 1]), 2.0, np.random.default_rng(0)).labels
        (array([1, 2]), tensor([1, 2]))
    """

    rows = 1

    def __init__(self, train: Dataset, inputs: Inputs, candidates: Candidates) -> None:
        self.train, self.log = train, train.events
        self.batcher = Batcher(train.preparation, self.log, inputs)
        self.candidates = candidates
        self.users = self.log.users
        usable = self.log.target_items() > 0
        if inputs.max_length and not inputs.fields and not inputs.dense:
            usable &= np.arange(len(self.log)) > self.log.offsets[self.users]
        self.events = np.flatnonzero(usable)
        if not len(self.events):
            raise NothingToLearn(f"the {train.name} part has no known item with a history to learn from")

    def learnt_preparation(self) -> Preparation:
        return learnt_ids(self.train, self.batcher.inputs, self.events, self.candidates)

    def sizes(self) -> np.ndarray:
        return self.events - self.batcher.starts(self.users[self.events], self.events)

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        """Summed weight of the examples: their number, where all count alike."""
        weights = self.log.weights
        return float(len(chosen) if weights is None else weights[self.events[chosen]].sum(dtype=np.float64))

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator, salt: int = 0) -> Batch:
        events = self.events[chosen]
        return self.batcher.batch(
            self.users[events], self.batcher.starts(self.users[events], events), events,
            context=self.batcher.context(self.log, events),
            weights=None if self.log.weights is None else self.log.weights[events], total=total,
            **self.candidates.compete(self.log.items[events], rng),
        )  # fmt: skip
