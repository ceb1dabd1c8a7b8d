"""new_events(): later events as a training part, whose histories reach back to earlier ones."""

from dataclasses import replace

import numpy as np

from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.split_report import PartReport, SplitReport
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.training.evict import IdleRows
from torchrec_ext.training.grow_preparation import grow_preparation


def new_events(
    preparation: Preparation, events: Events, new: np.ndarray, idle: IdleRows | None = None
) -> Dataset:
    """The training part of later events, with rows for their new ids.

    Earlier events of the same users are in it, but weigh 0: they are only read as history.

    Args:
        preparation: of the trained model.
        events: all events.
        new: (N,) bool, the later ones, which are learnt.
        idle: rows that new users and items take over before there are more rows.

    Returns:
        The part. Its preparation has the trained ids of the model and of the later events.
    """
    users_of_new = np.append(events.occurring("user", new), False)
    theirs = users_of_new[events.codes("user")]
    events, new = events.take(theirs), new[theirs]
    grown = grow_preparation(preparation, events, new, idle)
    learnt = new & events.is_target() & grown.kept(events)
    trained = TrainedIds.of(events, learnt, grown.vocabularies).or_in(preparation.trained)
    grown = replace(grown, trained=trained)
    log = grown.log(events)
    is_learnt = learnt[log.source_rows]
    if not is_learnt.all():
        weights = np.ones(len(log), np.float32) if log.weights is None else log.weights
        log = replace(log, weights=np.where(is_learnt, weights, np.float32(0)))
    users, items = (int(events.occurring(name, learnt).sum()) for name in ("user", "item"))
    counts = PartReport("train", int(learnt.sum()), users, items, cold_users=0, cold_items=0)
    report = SplitReport("events after those that the model has learnt from", (counts,))
    rows = np.arange(len(log))
    return Dataset(grown, log, rows, rows[:0], "new events", report, events)
