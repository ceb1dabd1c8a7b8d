"""compare(): what the precision of a bundle costs, and how long a query takes."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from torchrec_ext import contracts
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.data.events import Events
from torchrec_ext.evaluation import evaluate
from torchrec_ext.retrieval.recommend import recommend
from torchrec_ext.retrieval.trained_model import TrainedModel

_K = 10
_MOST_USERS, _MOST_SCORES = 1000, 2_000_000
"""Of a comparison of lists; a ranker scores every item for every user."""


def compare(exact: TrainedModel, bundle: TrainedModel, known: Dataset, targets: Dataset) -> dict[str, Any]:
    """Compares a bundle with the same model in float32 on the targets of a part.

    Returns:
        ``measure`` (its name), its value ``float32`` and in the ``bundle``, ``loss`` (the share that is
        lost, 0 where none is), ``overlap`` (mean share of a top-10 list that is the same), and
        ``milliseconds`` of a query: its ``p50`` and ``p99``.
    """
    name = "auc" if isinstance(bundle.module, contracts.Ranker) else f"ndcg@{_K}"
    before, after = (_figure(model, name, known, targets) for model in (exact, bundle))
    events = known.table_part()
    offered = len(bundle.preparation.trained.catalogue)
    count = _MOST_USERS if name != "auc" else max(_MOST_SCORES // offered, 10)
    users = events.ids("user")[:count] if "user" in events.columns else []
    k = min(_K, offered)
    lists = [recommend(model, events, users, k).groupby("user")["item"].agg(set) for model in (exact, bundle)]
    same = [len(one & other) / max(len(one), 1) for one, other in zip(*lists, strict=True)]
    return {
        "measure": name,
        "float32": before,
        "bundle": after,
        "loss": max(0.0, (before - after) / before) if before else 0.0,
        "overlap": float(np.mean(same)),
        "milliseconds": _query_milliseconds(bundle, events, users, k),
    }


def _query_milliseconds(model: TrainedModel, events: Events, users: Sequence, k: int) -> dict[str, float]:
    """The p50 and p99 of the time that the list of one user takes, with the catalogue indexed before."""
    index = None if isinstance(model.module, contracts.Ranker) else model.build_index()
    taken = []
    for user in users[:200]:
        begin = time.perf_counter()
        recommend(model, events, [user], k, index=index)
        taken.append(1000 * (time.perf_counter() - begin))
    return {f"p{percent}": float(np.percentile(taken, percent)) for percent in (50, 99)}


def _figure(model: TrainedModel, name: str, known: Dataset, targets: Dataset) -> float:
    k = min(_K, len(model.preparation.trained.catalogue))
    return evaluate(model, known, targets, k)[name if name == "auc" else f"ndcg@{k}"]
