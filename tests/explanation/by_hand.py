"""Models with weights set by hand, in one process and without TorchRec's tables."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from torchrec_ext.data import Events, leave_last_out, read_events
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.serving.bundle import build_model
from torchrec_ext.serving.local_model import describe_model

SONGS = pd.DataFrame({
    "item": list("abcd"), "title": [f"Song {i}" for i in "abcd"], "kind": ["x", "y", "x", "y"],
})  # fmt: skip
USERS = pd.DataFrame({"user": [1, 2, 3, 4, 5], "city": ["Rome", "Oslo", "Rome", "Oslo", "Rome"]})
HEARD = {1: "abc", 2: "daa", 3: "bab", 4: "cab", 5: "dab"}
"""Of which training learns from the first of each, so from every song."""
VECTORS = {"a": [1.0, 0.0], "b": [0.0, 2.0], "c": [3.0, 1.0], "d": [1.0, 1.0]}


def songs() -> tuple[Events, Dataset]:
    """The events and the training part."""
    pairs = [(user, item) for user, items in HEARD.items() for item in items]
    heard = pd.DataFrame(pairs, columns=["user", "item"])
    events = read_events(heard, items=SONGS, users=USERS)
    return events, leave_last_out(events)[0]


def built(module: TwoTower | Ranker, data: Dataset, weights: Mapping[str, Tensor]) -> TrainedModel:
    """The model as a bundle has it, with these weights."""
    found = build_model(describe_model(module), data.preparation, weights)
    return TrainedModel(found.eval(), data.preparation)


def rows(data: Dataset, table: str, vectors: Mapping[Any, list[float]]) -> Tensor:
    """A table with these vectors of its ids, and zeros elsewhere."""
    vocabulary = data.preparation.vocabularies[table]
    found = torch.zeros(len(vocabulary), len(next(iter(vectors.values()))))
    for own, vector in vectors.items():
        found[int(vocabulary.rows(np.array([own]))[0])] = torch.tensor(vector)
    return found


def mean_of_songs(data: Dataset) -> TrainedModel:
    """Scores a song by the dot product with the mean of the history."""
    module = TwoTower(data.schema, 2, "mean_pool")
    return built(module, data, {"embeddings.tables.item.weight": rows(data, "item", VECTORS)})
