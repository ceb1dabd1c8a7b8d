"""NextEvents: every next event of a history learnt in one pass."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.examples import cut_windows, learnt_ids
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import Slices
from torchrec_ext.errors import NothingToLearn


class NextEvents:
    """Windows of histories, each of whose events is an input and whose next event is its target.

    A causal encoder learns every next event of a window in one pass. A history with more inputs than
    ``inputs.max_length`` is cut into windows that long; its first may be shorter. InputError if none is left.

    Args:
        train: the training part.
        inputs: what the model wants.
        candidates: what competes with the targets.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 6, "item": list("abcdef")}))
        >>> train = leave_last_out(events)[0]  # a, b, c, d
        >>> examples = NextEvents(train, Inputs(max_length=2), Candidates("catalogue", np.ones(6)))
        >>> examples.sizes(), examples.batch(np.array([1]), 2.0, np.random.default_rng(0)).labels
        (array([1, 2]), tensor([2, 3]))
    """

    rows = 1

    def __init__(self, train: Dataset, inputs: Inputs, candidates: Candidates) -> None:
        self.train, self.log = train, train.events
        self.batcher = Batcher(train.preparation, self.log, inputs)
        self.candidates = candidates
        self.users, self.starts, self.ends, self.weights = cut_windows(self.log, inputs.max_length, ahead=1)
        self.targets = self.log.target_items()
        if not len(self.starts):
            raise NothingToLearn(f"the {train.name} part has no known item after another event to learn from")

    def learnt_preparation(self) -> Preparation:
        return learnt_ids(self.train, self.batcher.inputs, self.starts, self.candidates)

    def sizes(self) -> np.ndarray:
        return self.ends - self.starts

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        """Summed weight of the known targets in these windows: their number, where all count alike."""
        return float(self.weights[chosen].sum())

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator, salt: int = 0) -> Batch:
        """The batch of these windows; ``labels`` are of the flat events, -1 where the next is no target."""
        starts, ends = self.starts[chosen], self.ends[chosen]
        following = Slices(starts + 1, ends + 1)
        weights = None if self.log.weights is None else following.of(self.log.weights)
        drawn = self.candidates.compete(following.of(self.targets), rng)
        return self.batcher.batch(self.users[chosen], starts, ends, weights=weights, total=total, **drawn)
