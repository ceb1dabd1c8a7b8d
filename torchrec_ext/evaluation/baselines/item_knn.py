"""item_knn(): what the neighbours of a user's items reach."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.labelled_events import LabelledEvents, label_column
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.positive import Positive, tasks_of
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.distributed.process_group import world
from torchrec_ext.evaluation.baselines.pair_report import pair_report
from torchrec_ext.evaluation.full_ranking import UserSearch, full_ranking, list_lengths
from torchrec_ext.evaluation.item_neighbours import ItemNeighbours
from torchrec_ext.evaluation.report import Report
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def item_knn(
    model: TrainedModel,
    known: Dataset,
    targets: Dataset,
    k: int | Sequence[int] = (10, 50),
    *,
    neighbours: int = 100,
    shrink: float = 10.0,
    candidates: Sequence | np.ndarray | pd.Series | None = None,
    exclude_seen: bool = True,
    positive: Positive | None = None,
    group: str | None = None,
    per_user: bool = False,
) -> Report:
    """The figures of item-kNN under the protocol of :func:`evaluate`; every rank must call it.

    An item's score is the sum of its similarities to the known items of the user whose neighbour it is.
    Two items are similar if the same users have events with them in ``known``: the cosine of
    :class:`~torchrec_ext.evaluation.item_neighbours.ItemNeighbours`. Known events that are only read as
    history count too. A user none of whose items has a neighbour gets the popular items.

    In place of a ranker, known events with a negative label do not count, and the score is not a
    probability: the report has the AUC, and the figures within groups.

    Args:
        model: the model it is compared with; only its kind, its catalogue and ``positive`` count.
        known: see :func:`evaluate`.
        targets: the events to predict.
        k: list lengths.
        neighbours: items that are kept of each item, the most similar ones.
        shrink: draws the similarities of items with few users towards 0, which sparse data needs; 0 leaves
            the cosine.
        candidates: see :func:`evaluate`, as all that follows; of a retriever.
        exclude_seen: of a retriever.
        positive: of a ranker.
        group: of a ranker.
        per_user: of a retriever.

    Raises:
        InputError: see :func:`evaluate`; and for a number of neighbours below 1 or a shrink below 0.

    Source:
        "Item-Based Top-N Recommendation Algorithms" (Deshpande, Karypis 2004, section 4).
    """
    expect_trained(model)
    about = f"item-kNN of {neighbours} neighbours, shrink {shrink:g}"
    whole = known.log.select(np.union1d(known.rows, known.history_only))
    ranker, first = isinstance(model.module, contracts.Ranker), model.first_task(positive)
    counted = _liked(whole, first) if ranker else whole.items > 0
    rows = targets.schema.table("item").rows
    near = ItemNeighbours.of(whole.users[counted], whole.items[counted], rows, neighbours, shrink)
    if ranker:
        wanted = LabelledEvents(targets, known, Inputs(), first, one_class=True)
        scores = _pair_scores(near, wanted, first)
        return pair_report(scores / (1 + scores), wanted, first, group, about, probabilities=False)

    def search(log: EventLog, users: np.ndarray, rows: np.ndarray) -> UserSearch:
        rank, world_size = world()
        share = -(-len(rows) // world_size)
        mine = rows[rank * share : (rank + 1) * share]
        places = np.full(len(near.offsets) - 1, -1)
        places[mine] = np.arange(len(mine))

        def queries(chosen: np.ndarray) -> tuple[ExactIndex, torch.Tensor]:
            items, owners = _distinct_items(log.items, log.offsets[chosen], log.offsets[chosen + 1])
            scores = near.scores(items, owners, len(chosen), places, len(mine))
            index = ExactIndex()  # an item's vector is its score for each user, of whom a query chooses one
            index.build(torch.from_numpy(scores.T.astype(np.float32)), torch.from_numpy(mine))
            return index, torch.eye(len(chosen))

        offered = np.zeros(len(places), bool)
        offered[rows] = True
        helpful = np.zeros(len(places), bool)
        helpful[near.owners[offered[near.items] & (near.items != near.owners)]] = True
        until = offsets_of(helpful[log.items])
        return UserSearch(
            cold=until[log.offsets[users]] == until[log.offsets[users + 1]],
            queries=queries,
            chunk=int(np.clip(2**22 // len(rows), 1, 128)),
            about=about,
            cold_users="users of whose items none has a neighbour",
        )

    return full_ranking(
        search, known, targets, list_lengths(k),
        preparation=model.preparation, candidates=candidates, exclude_seen=exclude_seen, per_user=per_user,
    )  # fmt: skip


def _liked(log: EventLog, positive: Positive) -> np.ndarray:
    """(N,) bool, events of a known item that have no negative label."""
    ((column, least),) = tasks_of(positive)
    return (log.items > 0) & ~(label_column(log, column) < least)


def _pair_scores(
    near: ItemNeighbours, wanted: LabelledEvents, positive: Positive, chunk: int = 4096
) -> np.ndarray:
    """(N,) float64 scores of pairs, by what their users liked before."""
    log = wanted.batcher.known
    counted = _liked(log, positive)
    liked, until = log.items[counted], offsets_of(counted)
    starts, ends = until[log.offsets[wanted.users]], until[wanted.ends]
    scores = np.zeros(len(ends))
    for start in range(0, len(ends), chunk):
        some = slice(start, start + chunk)
        items, owners = _distinct_items(liked, starts[some], ends[some])
        found = near.between(items, wanted.items[some][owners])
        scores[some] = np.bincount(owners, found, len(ends[some]))
    return scores


def _distinct_items(items: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The distinct items of slices, and the number of the slice that each is of."""
    owners = np.repeat(np.arange(len(starts)), ends - starts)
    count = int(items.max(initial=0)) + 1
    owners, found = np.divmod(np.unique(owners * count + items[slice_positions(starts, ends)]), count)
    return found, owners
