"""A position that biases clicks is taken out of what is learnt of the items."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import torch

from torchrec_ext.data import Dataset, by_time, read_events
from torchrec_ext.data.features import Number
from torchrec_ext.evaluation import evaluate
from torchrec_ext.losses import GroupSoftmax
from torchrec_ext.models import Ranker
from torchrec_ext.training import Optimization, fit

ITEMS, SHOWN, START = 20, 5, 1_600_000_000
APPEAL = np.linspace(-1.5, 1.5, ITEMS)


@pytest.fixture(scope="module")
def parts() -> tuple[Dataset, Dataset, Dataset]:
    """Training shows items of little appeal first, where most clicks are; later they stand at random."""
    rng, rows = np.random.default_rng(0), []
    for time in range(1500):
        shown, places = rng.choice(ITEMS, SHOWN, replace=False), np.arange(SHOWN)
        if time < 1000:
            shown = shown[np.argsort(APPEAL[shown] + rng.normal(size=SHOWN))]
        bias = -1.0 * places if time < 1000 else 0
        clicked = (APPEAL[shown] + bias + rng.gumbel(size=SHOWN)).argmax()
        for place, item in zip(places, shown, strict=True):
            where = place + 1 if time < 1000 else None
            rows.append((time % 7, f"i{item}", START + time, float(place == clicked), where, time))
    table = pd.DataFrame(rows, columns=["user", "item", "timestamp", "rating", "position", "impression"])
    kinds = {"position": {"kind": "number"}, "impression": {"kind": "number"}}
    events = read_events(table, columns=kinds, labels=["impression"], context=["position"])
    buckets = Number(missing="unknown", buckets=tuple(np.arange(1.5, SHOWN)))
    events = dataclasses.replace(events, options={"context_position": buckets})
    return by_time(events, valid_from=START + 1000, test_from=START + 1250)


def group_auc(parts: tuple[Dataset, Dataset, Dataset], *shallow: str) -> float:
    train, valid, test = parts
    torch.manual_seed(0)
    ranker = Ranker(train.schema, 4, ("item", *shallow), "mlp", over_arch=(), shallow=shallow)
    optimization = Optimization(100, learning_rate=1e-2, table_learning_rate=0.1)
    trained = fit(
        ranker, train, epochs=5, loss=GroupSoftmax(), positive=1, optimization=optimization, progress=False
    )
    return evaluate(trained, train + valid, test, group="impression").figures["group_auc"]


def test_appeal_is_learnt_beside_a_bias_that_hides_it(parts):
    biased, unbiased = group_auc(parts), group_auc(parts, "context_position")
    assert biased < 0.6 < 0.7 < unbiased
