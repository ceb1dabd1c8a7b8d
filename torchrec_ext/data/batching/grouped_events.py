"""GroupedEvents: a positive event and some negative ones of its group, such as an impression."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.labelled_events import LabelledEvents, label_column
from torchrec_ext.data.batching.uniform import uniform
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.positive import Positive
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import NothingToLearn


class GroupedEvents:
    """One example a positive event: a pair of it, then pairs of ``negatives`` others of its group.

    Negatives are drawn in every step, some twice where the group has fewer. A positive without a negative in
    its group is no example.

    Args:
        train: the part whose events are the examples.
        inputs: what the model wants.
        positive: as of :class:`~torchrec_ext.data.batching.labelled_events.LabelledEvents`, of one task.
        group: label column whose value the events of a group share.
        negatives: of each positive.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> shown = pd.DataFrame({"user": [1] * 6, "item": list("abcdef"), "rating": [0, 1, 0, 1, 0, 0]})
        >>> shown["list"] = [1, 1, 1, 2, 3, 3]
        >>> spec = {"list": {"kind": "number"}}
        >>> train = leave_last_out(read_events(shown, columns=spec, labels=["list"]))[0]
        >>> examples = GroupedEvents(train, Inputs(fields=("item",)), 1, "list", negatives=3)
        >>> examples.batch(np.array([0]), 1).labels[:, 0].tolist()
        [1.0, 0.0, 0.0, 0.0]
    """

    def __init__(
        self, train: Dataset, inputs: Inputs, positive: Positive, group: str, negatives: int = 4
    ) -> None:
        self.pairs = LabelledEvents(train, train, inputs, positive)
        self.rows = negatives + 1
        groups = label_column(self.pairs.log, group)[self.pairs.events]
        is_positive, grouped = self.pairs.labels[:, 0] > 0, ~np.isnan(groups)
        others = np.flatnonzero(~is_positive & grouped)
        self._others = others[np.argsort(groups[others], kind="stable")]
        wanted = np.flatnonzero(is_positive & grouped)
        begins, ends = (
            np.searchsorted(groups[self._others], groups[wanted], side) for side in ("left", "right")
        )
        useful = ends > begins
        if not useful.any():
            raise NothingToLearn(f"no group of {group!r} has both a positive and another event to learn from")
        self._positives, self._begins, self._counts = wanted[useful], begins[useful], (ends - begins)[useful]

    def learnt_preparation(self) -> Preparation:
        return self.pairs.learnt_preparation()

    def sizes(self) -> np.ndarray:
        return self.pairs.sizes()[self._positives]

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        return float(len(chosen))

    def batch(self, chosen: np.ndarray, total: float, rng: object = None, salt: int = 0) -> Batch:
        places = chosen[:, None] * (self.rows - 1) + np.arange(self.rows - 1)
        drawn = uniform(places.ravel(), salt).reshape(places.shape) * self._counts[chosen, None]
        others = self._others[self._begins[chosen, None] + drawn.astype(np.int64)]
        return self.pairs.batch(np.column_stack([self._positives[chosen], others]).ravel(), total)
