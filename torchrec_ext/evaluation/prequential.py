"""prequential(): each event predicted from all that happened before it, by a model that has not learnt it."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
import torch

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher, take_context
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.slices import offsets_of, slice_positions
from torchrec_ext.evaluation.full_ranking import expect_unknown
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.models.inference import inference
from torchrec_ext.retrieval.encode import build_index, encode_users
from torchrec_ext.retrieval.popular import is_cold_user, popular_index
from torchrec_ext.retrieval.score_pairs import score_pairs
from torchrec_ext.retrieval.trained_model import TrainedModel, expect_trained


def prequential(
    model: TrainedModel,
    known: Dataset,
    targets: Dataset,
    *,
    exclude_seen: bool = True,
    chunk: int = 1024,
) -> pd.DataFrame:
    """Predicts each event from the events before it, the earlier targets among them; every rank must call it.

    That is how a service would have met the events: each list knows what its user did before, and the model
    has learnt from none of them. ("Prequential" is Dawid's word, from predictive and sequential.)

    Args:
        model: which has not learnt from the targets.
        known: the events before the targets.
        targets: the events to predict.
        exclude_seen: whether items that a user had an event with before the target are left out of the lists.
        chunk: events at a time.

    Returns:
        One row a target, in the order of the table that was read: ``row`` in that table, ``time`` in seconds
        (NaN where there are none), and of a retriever ``rank``, the place of the item among all of the
        catalogue, 0 where it is not there or left out; of a ranker ``label`` and ``score`` of each rated
        event. The same on every rank.

    Raises:
        InputError: if targets are known, or no target of a ranker has a rating.

    Source:
        A. P. Dawid, "Present position and potential developments: some personal views: statistical theory:
        the prequential approach", Journal of the Royal Statistical Society A 147, 1984.
    """
    expect_trained(model)
    expect_unknown(known, targets)
    model.preparation.expect_same_rows(targets.preparation, f"the split of {targets.name}")
    with inference(model.module):
        if isinstance(model.module, contracts.Ranker):
            found = _scores(model, known, targets)
        else:
            found = _ranks(model, known, targets, exclude_seen, chunk)
    return found.sort_values("row", ignore_index=True)


def summarise(predicted: pd.DataFrame, k: int = 10) -> dict[str, float]:
    """Figures of some rows of :func:`prequential`.

    Returns:
        ``events``, their number, and of a retriever ``hr@k``, the share of the events whose item is in the
        list, and ``ndcg@k``, whose items count less the lower they stand; of a ranker ``auc`` and
        ``log_loss``.

    Example:
        >>> summarise(pd.DataFrame({"rank": [1, 3, 0, 12]}), k=10)
        {'events': 4, 'hr@10': 0.5, 'ndcg@10': 0.375}
    """
    if "rank" in predicted:
        ranks = predicted["rank"].to_numpy()
        hit = (ranks >= 1) & (ranks <= k)
        gains = np.where(hit, 1 / np.log2(1 + np.maximum(ranks, 1)), 0)
        return {"events": len(ranks), f"hr@{k}": float(hit.mean()), f"ndcg@{k}": float(gains.mean())}
    report = BinaryReport(sync_on_compute=False)
    report.update(*(torch.tensor(predicted[name].to_numpy(np.float32)) for name in ("score", "label")))
    figures = report.compute()
    return {"events": len(predicted), "auc": figures["auc"], "log_loss": figures["log_loss"]}


def _ranks(
    trained: TrainedModel, known: Dataset, targets: Dataset, exclude_seen: bool, chunk: int
) -> pd.DataFrame:
    module, preparation = trained.module, trained.preparation
    assert isinstance(module, contracts.Retriever)
    log, ends = (known + targets).known_before(targets)
    wanted = targets.events
    users, items = wanted.users, torch.from_numpy(wanted.items.astype(np.int64))
    batcher = Batcher(preparation, log, module.inputs)
    index = build_index(module, batcher)
    cold = is_cold_user(module.inputs, preparation, log, users, ends)
    popular = popular_index(known.events, preparation.trained.catalogue) if cold.any() else None
    ranks = np.zeros(len(items), np.int64)
    for is_cold, searched in ((False, index), (True, popular)):
        for chosen in _chunks(np.flatnonzero(cold == is_cold), chunk):
            assert searched is not None
            if is_cold:
                queries = torch.ones(len(chosen), 1)
            else:
                context = take_context(wanted.context, chosen)
                queries = encode_users(module, batcher, users[chosen], context, ends[chosen])
            seen = _seen(log, users[chosen], ends[chosen]) if exclude_seen else None
            one_each = torch.arange(len(chosen) + 1)
            ranks[chosen] = searched.ranks_of(queries, (items[chosen], one_each), seen).cpu().numpy()
    return pd.DataFrame({"row": wanted.source_rows, "time": _times(wanted), "rank": ranks})


def _scores(trained: TrainedModel, known: Dataset, targets: Dataset) -> pd.DataFrame:
    examples = LabelledEvents(targets, known + targets, trained.inputs, trained.first_task(), one_class=True)
    scores = score_pairs(
        trained.module, examples.batcher, examples.users, examples.ends, examples.items, examples.context()
    )
    log, chosen = examples.log, examples.events
    found = {"row": log.source_rows[chosen], "time": _times(log)[chosen], "label": examples.labels[:, 0]}
    return pd.DataFrame({**found, "score": scores.numpy()})


def _times(log: Any) -> np.ndarray:
    return np.full(len(log), np.nan) if log.times is None else np.asarray(log.times)


def _seen(log: Any, users: np.ndarray, ends: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Items of the events of users before their ends that are not only read as history, and offsets."""
    starts = log.offsets[users]
    items = log.target_items()[slice_positions(starts, ends)].astype(np.int64)
    return torch.from_numpy(items), torch.from_numpy(offsets_of(ends - starts))


def _chunks(places: np.ndarray, size: int) -> Iterable[np.ndarray]:
    return (places[start : start + size] for start in range(0, len(places), size))
