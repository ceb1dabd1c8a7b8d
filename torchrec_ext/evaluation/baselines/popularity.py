"""popularity(): what the number of events, or the mean label, of an item reaches."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.positive import Positive
from torchrec_ext.evaluation.baselines.pair_report import pair_report
from torchrec_ext.evaluation.full_ranking import UserSearch, full_ranking, list_lengths
from torchrec_ext.evaluation.popularity import item_mean_label
from torchrec_ext.evaluation.report import Report
from torchrec_ext.retrieval.popular import popular_index
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def popularity(
    model: TrainedModel,
    known: Dataset,
    targets: Dataset,
    k: int | Sequence[int] = (10, 50),
    *,
    candidates: Sequence | np.ndarray | pd.Series | None = None,
    exclude_seen: bool = True,
    positive: Positive | None = None,
    group: str | None = None,
    per_user: bool = False,
) -> Report:
    """The figures of popularity under the protocol of :func:`evaluate`; every rank must call it.

    In place of a retriever everybody gets the items with most known events. In place of a ranker a pair
    gets the mean label of its item among the known events, drawn towards the mean of all; that mean
    itself where the data has no items, whose AUC is a half.

    Args:
        model: the model it is compared with; only its kind, its catalogue and ``positive`` count.
        known: see :func:`evaluate`, as all that follows.
        targets: the events to predict.
        k: list lengths.
        candidates: of a retriever, as the next one.
        exclude_seen: see above.
        positive: of a ranker.
        group: of a ranker.
        per_user: of a retriever.

    Raises:
        InputError: see :func:`evaluate`.
    """
    expect_trained(model)
    if not isinstance(model.module, contracts.Ranker):
        return full_ranking(
            _popular_items, known, targets, list_lengths(k),
            preparation=model.preparation, candidates=candidates, exclude_seen=exclude_seen,
            per_user=per_user,
        )  # fmt: skip
    first = model.first_task(positive)
    seen, wanted = (LabelledEvents(part, part, Inputs(), first, one_class=True) for part in (known, targets))
    items = targets.schema.table("item").rows
    scores = item_mean_label(seen.items, seen.labels[:, 0], wanted.items, items)
    return pair_report(scores, wanted, first, group, "each item's mean label")


def _popular_items(log: EventLog, users: np.ndarray, rows: np.ndarray) -> UserSearch:
    index = popular_index(log, rows)
    return UserSearch(
        cold=np.zeros(len(users), bool),
        queries=lambda chosen: (index, torch.ones(len(chosen), 1)),
        about="every user gets the popular items",
    )
