"""HiddenEvents: some events of a window hidden, to be predicted from those around them."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher
from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.data.batching.examples import cut_windows, learnt_ids
from torchrec_ext.data.batching.uniform import uniform
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.slices import Slices, offsets_of, slice_positions
from torchrec_ext.errors import NothingToLearn


class HiddenEvents:
    """Windows of histories, of whose events a share is hidden, other ones in each epoch.

    For encoders that see both sides of an event (a cloze: "BERT4Rec: Sequential Recommendation with
    Bidirectional Encoder Representations from Transformer", Sun et al. 2019, section 3.6). Which events
    are hidden is a function of the salt and the event alone, so that it is the same on any number of
    ranks. A window of which chance hides no target has its newest one hidden. Events of unknown items or of
    weight 0 are never hidden. Windows are at most ``inputs.max_length`` long. InputError if no item is known.

    Args:
        train: the training part.
        inputs: what the model wants; ``masked`` is the share.
        candidates: what competes with the hidden items.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> events = read_events(pd.DataFrame({"user": [1] * 7, "item": list("abcdefg")}))
        >>> train = leave_last_out(events)[0]  # a, b, c, d, e
        >>> inputs = Inputs(max_length=9, masked=0.4)
        >>> examples = HiddenEvents(train, inputs, Candidates("catalogue", np.ones(7)))
        >>> examples.batch(np.array([0]), 2.0, np.random.default_rng(0), salt=6).labels
        tensor([-1, -1, -1,  3,  4])
    """

    rows = 1

    def __init__(self, train: Dataset, inputs: Inputs, candidates: Candidates) -> None:
        self.train, self.log = train, train.events
        self.batcher = Batcher(train.preparation, self.log, inputs)
        self.candidates, self.share = candidates, inputs.masked
        self.users, self.starts, self.ends, _ = cut_windows(self.log, inputs.max_length)
        self.items = self.log.target_items()
        if not len(self.starts):
            raise NothingToLearn(
                f"no user of the {train.name} part has a known item: there is nothing to learn"
            )

    def learnt_preparation(self) -> Preparation:
        return learnt_ids(self.train, self.batcher.inputs, self.starts, self.candidates)

    def sizes(self) -> np.ndarray:
        return self.ends - self.starts

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        """Summed weight of the hidden known items in these windows: their number, where all count alike."""
        hidden, weights = self._targets(chosen, salt) > 0, self._weights(chosen)
        return float(hidden.sum() if weights is None else weights[hidden].sum(dtype=np.float64))

    def batch(self, chosen: np.ndarray, total: float, rng: np.random.Generator, salt: int = 0) -> Batch:
        """The batch of these windows; ``labels`` are -1 where an event is not hidden."""
        return self.batcher.batch(
            self.users[chosen], self.starts[chosen], self.ends[chosen],
            weights=self._weights(chosen), total=total,
            **self.candidates.compete(self._targets(chosen, salt), rng),
        )  # fmt: skip

    def _weights(self, chosen: np.ndarray) -> np.ndarray | None:
        """(N,) float32 weights of the windows' events, or None where all count alike."""
        weights = self.log.weights
        return None if weights is None else Slices(self.starts[chosen], self.ends[chosen]).of(weights)

    def _targets(self, chosen: np.ndarray, salt: int) -> np.ndarray:
        """(N,) item row of each hidden event of the windows, 0 for the others."""
        starts, ends = self.starts[chosen], self.ends[chosen]
        items = Slices(starts, ends).of(self.items)
        hidden = (uniform(slice_positions(starts, ends), salt) < self.share) & (items > 0)
        offsets = offsets_of(ends - starts)
        counts = offsets_of(hidden)[offsets]
        targets = np.flatnonzero(items)
        newest = targets[np.searchsorted(targets, offsets[1:]) - 1]  # of each window, which has one at least
        hidden[newest[counts[1:] == counts[:-1]]] = True
        return np.where(hidden, items, 0)
