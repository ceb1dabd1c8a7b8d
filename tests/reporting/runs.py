"""Runs of four users and five items, whose figures can be worked out by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import torch

from torchrec_ext.evaluation import UserValues
from torchrec_ext.metrics import user_metrics
from torchrec_ext.reporting import EvaluatedRun

ITEMS = pa.table(
    {
        "item": ["a", "b", "c", "d", "e"],
        "events": [8, 4, 2, 1, 1],
        "users": [4, 4, 2, 1, 1],
        "item_title": ["A <b>", None, "Sea", "Dee", "Eve"],
        "item_genres": [["x"], ["y"], ["x", "y"], [], ["y"]],
    }
)
TARGETS = [["a"], ["b"], ["c"], ["d"]]
HISTORY = [["a", "b"], ["a"], ["b", "b"], []]


def retriever(name: str, lists: list[list[str]], *, users: str = "stuv", **figures: Any) -> EvaluatedRun:
    """A run with these lists; a target's rank is its place, 5 if the list does not hold it."""
    ranks = [
        own.index(wanted[0]) + 1 if wanted[0] in own else 5
        for own, wanted in zip(lists, TARGETS, strict=True)
    ]
    offsets = torch.arange(len(lists) + 1)
    metrics = user_metrics(torch.tensor(ranks), offsets, [1, 2, 3])
    table = pa.table(
        {
            "user": list(users),
            "targets": TARGETS,
            "ranks": [[rank] for rank in ranks],
            **{metric: values.numpy() for metric, values in metrics.items()},
            "list": lists,
            "answered_by": ["model", "model", "model", "popular"],
            "known": [2, 1, 2, 0],
            "history": HISTORY,
            "user_town": ["rome", "oslo", "rome", None],
        }
    )
    means = {metric: float(values.mean()) for metric, values in metrics.items()}
    known = {
        **means, "coverage@3": 0.5, "items": 5, "users": 4, "protocol": "full ranking",
        "popularity": {"ndcg@3": 0.1, "coverage@3": 0.1},
        "card": {
            "data": "tiny", "sha256": "0" * 64, "filters": [], "leak": "no training event happens after",
            "split": "leave-last-out", "dates": {"test": ["2020-01-01", "2020-01-02"]},
            "evaluation_seconds": 2.0, "bytes_a_rank": 4_000_000, "parts": [],
        },
        **figures,
    }  # fmt: skip
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [2.0, 1.0], "valid_ndcg@3": [0.1, 0.2]})
    return EvaluatedRun(name, known, {"epochs": 2, "seconds": 3.5}, UserValues(table, ITEMS), history)


FIRST = retriever("first", [["a", "b", "c"], ["a", "b", "c"], ["b", "a", "c"], ["a", "b", "c"]])
SECOND = retriever("second", [["a", "c", "e"], ["b", "a", "e"], ["c", "b", "a"], ["e", "d", "a"]])


def ranker(name: str, scores: list[list[float]]) -> EvaluatedRun:
    """A run of two users with three pairs each."""
    users = pa.table(
        {
            "user": ["s", "t"],
            "targets": [["a", "b", "c"], ["b", "c", "d"]],
            "labels": [[1, 0, 1], [0, 0, 1]],
            "scores": pa.array(scores, pa.list_(pa.float32())),
            "known": [3, 1],
            "history": HISTORY[:2],
        }
    )
    figures = {"protocol": "labels: rating >= 4", "popularity": {"auc": 0.5}}
    return EvaluatedRun(name, figures, {}, UserValues(users, ITEMS))


def keep(run: EvaluatedRun, folder: Path) -> Path:
    """Writes a run as the recipes do."""
    place = folder / run.name
    place.mkdir(parents=True)
    run.values.save(place)
    (place / "metrics.json").write_text(json.dumps({**run.figures, **run.training}))
    if run.history is not None:
        run.history.to_csv(place / "history.csv", index=False)
    return place


def pairs_of(run: EvaluatedRun) -> tuple[np.ndarray, np.ndarray]:
    """Scores and labels of all pairs of a ranker."""
    return run.lists("scores")[0], run.lists("labels")[0]
