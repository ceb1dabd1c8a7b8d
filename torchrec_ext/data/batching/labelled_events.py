"""LabelledEvents: one example an event, with a label of interest, or several."""

import numpy as np

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.data.batching.batches import Batcher, Context
from torchrec_ext.data.batching.examples import learnt_ids
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.positive import Positive, tasks_of
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.errors import InputError, NothingToLearn


class LabelledEvents:
    """One example a rated event: 1 where the rating is at least ``positive``, else 0.

    Events without a rating or of weight 0 are no examples; histories hold them as any other. InputError if no
    event has a rating, all have one label, or a weight is not above 0.

    Several thresholds make several tasks, as does ``{"watched": 10, "like": 1}`` of other columns, which the
    data declares as its ``labels``. Positives may weigh as much as their value, and negatives 1: of a value
    that is the time watched, the odds then learn the expected time ("Deep Neural Networks for YouTube
    Recommendations", Covington et al. 2016, section 4.2).

    Args:
        targets: the part whose events are the examples.
        known: the part whose events histories may hold.
        inputs: what the model wants.
        positive: least rating of an interested user, one for each task, or a column and its least value.
        weigh_by_rating: see above; a positive value must then be above 0.
        one_class: allows labels that are all the same, of which nothing can be learnt.

    Example:
        >>> import pandas as pd
        >>> from torchrec_ext.data import leave_last_out, read_events
        >>> ratings = pd.DataFrame({"user": [1] * 4, "item": list("abcd"), "rating": [5, 2, 4, 1]})
        >>> train = leave_last_out(read_events(ratings))[0]
        >>> LabelledEvents(train, train, Inputs(fields=("user", "item")), positive=(4, 5)).labels
        array([[1., 1.],
               [0., 0.]], dtype=float32)
    """

    rows = 1

    def __init__(
        self,
        targets: Dataset,
        known: Dataset,
        inputs: Inputs,
        positive: Positive = 4.0,
        weigh_by_rating: bool = False,
        *,
        one_class: bool = False,
    ) -> None:
        self.train, self.log = targets, targets.events
        tasks = tasks_of(positive)
        columns = [label_column(self.log, name) for name, _ in tasks]
        is_target = self.log.is_target()
        self.events = np.flatnonzero(is_target & ~np.any([np.isnan(column) for column in columns], 0))
        self.unrated = int(is_target.sum()) - len(self.events)
        """Number of events that are only history for want of a rating."""
        if not len(self.events):
            raise NothingToLearn(
                f"none of the {len(self.log):,} events of the {targets.name} part has a rating, so there is "
                "no example for a ranker; choose a split whose parts hold rated events"
            )
        log, ends = known.known_before(targets)
        self.batcher = Batcher(targets.preparation, log, inputs)
        self.ends = ends[self.events]
        self.users, self.items = self.log.users[self.events], self.log.items[self.events]
        values = np.stack([column[self.events] for column in columns], 1)
        self.labels = (values >= [least for _, least in tasks]).astype(np.float32)
        for (name, least), labels in zip(tasks, self.labels.T, strict=True):
            if not one_class and labels.min() == labels.max():
                raise InputError(
                    f"every {name} of the {targets.name} part is {'at least' if labels.min() else 'below'} "
                    f"positive={least:g}; choose another threshold"
                )
        self.weights = np.where(self.labels > 0, values, 1).astype(np.float32) if weigh_by_rating else None
        if self.weights is not None and self.weights.min() <= 0:
            raise InputError(
                f"a positive rating is {self.weights.min():g}, but weigh_by_rating needs them above 0; "
                "raise positive"
            )

    def context(self) -> Context:
        """The context, as far as the model reads it, of all examples."""
        return self.batcher.context(self.log, self.events)

    def learnt_preparation(self) -> Preparation:
        return learnt_ids(self.train, self.batcher.inputs, self.events)

    def sizes(self) -> np.ndarray:
        return self.ends - self.batcher.starts(self.users, self.ends)

    def weight(self, chosen: np.ndarray, salt: int = 0) -> float:
        """Summed weight of the examples' tasks, over the number of tasks."""
        return float(len(chosen)) if self.weights is None else float(self.weights[chosen].mean(1).sum())

    def batch(self, chosen: np.ndarray, total: float, rng: object = None, salt: int = 0) -> Batch:
        context = self.batcher.context(self.log, self.events[chosen])
        weights = None if self.weights is None else self.weights[chosen]
        return self.batcher.pairs(
            self.users[chosen], self.ends[chosen], self.items[chosen], context,
            labels=self.labels[chosen], weights=weights, total=total,
        )  # fmt: skip


def label_column(log: EventLog, name: str) -> np.ndarray:
    """(N,) values that a label is made of, NaN for a missing one."""
    if name == "rating":
        if log.ratings is None:
            raise InputError("a ranker learns from ratings, but there is no column 'rating'; map one to it")
        return log.ratings
    if name not in log.labels:
        raise InputError(
            f"positive names {name!r}, but the labels of the data are {', '.join(['rating', *log.labels])}; "
            "name the column in labels= of read_events, or in the declaration"
        )
    return log.labels[name]
