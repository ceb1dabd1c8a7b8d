"""LabelledEvents: one example an event, with a label of interest."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batches import Batcher
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.errors import InputError


class LabelledEvents:
    """One example an event: 1 where the rating is at least ``positive``, else 0.

    Args:
        targets: the part whose events are the examples.
        known: the part whose events histories may hold.
        inputs: what the model wants.
        positive: least rating of an interested user.

    Raises:
        InputError: if the events have no rating, or all have one label.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> ratings = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "rating": [5, 2, 4, 1]})
        >>> train, valid, test = leave_last_out(read_events(ratings))
        >>> LabelledEvents(train, train, Inputs(fields=("user", "item"))).labels
        array([1., 0.], dtype=float32)
    """

    def __init__(self, targets: Dataset, known: Dataset, inputs: Inputs, positive: float = 4.0) -> None:
        self.log = targets.events
        if self.log.ratings is None:
            raise InputError(
                "a ranker learns from ratings, but the events have no column 'rating'; map one to it"
            )
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

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        """Number of examples."""
        return float(len(chosen))

    def batch(
        self, chosen: np.ndarray, total: float, rng: np.random.Generator | None = None, salt: int = 0
    ) -> Batch:
        """The batch of these examples.

        Args:
            chosen: (B,) int64 numbers of examples.
            total: see :attr:`Batch.total <torchrec_ext.batch.Batch>`.
            rng: not used, since nothing is sampled.
            salt: not used, since nothing is hidden.
        """
        return self.batcher.pairs(
            self.users[chosen],
            self.ends[chosen],
            self.log.items[chosen],
            context={name: column[chosen] for name, column in self.log.context.items()},
            labels=self.labels[chosen][:, None],
            total=total,
        )
