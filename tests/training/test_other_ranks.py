"""A run goes on exactly on another number of ranks, the last batch of an epoch having too few examples."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests import processes
from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.data.dataset import Dataset
from torchrec_ext.distributed import join_group
from torchrec_ext.encoders import GRU, BERT4Rec, MeanPool
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import EarlyStopping, Optimization, fit

pytestmark = pytest.mark.slow  # trains in several groups of processes


@dataclass
class Case:
    """A model, the size of its batches and how its tables are sharded."""

    ranker: bool
    size: int
    arguments: dict[str, Any]
    sharding: Mapping[str, str] = field(default_factory=dict)


USERS = 61  # 61 windows are five batches of 12 and one window
CASES = {
    "each event": Case(False, 12, {"encoder": lambda: GRU(8, dropout=0.0), "query_fields": ("user",)}),
    "each event, row-wise fields": Case(
        False,
        12,
        {
            "encoder": lambda: MeanPool(8),
            "query_fields": ("user",),
            "item_fields": ("item_genres", "item_price"),
        },
        {"user": "row_wise", "item": "row_wise"},
    ),
    "hidden events": Case(
        False, 12, {"encoder": lambda: BERT4Rec(8, layers=1, dropout=0.0)}, {"item": "row_wise"}
    ),
    "last event": Case(False, 0, {"query_fields": ("user", "context_hour")}, {"user": "row_wise"}),
    "pairs": Case(True, 0, {}, {"user": "row_wise", "item": "row_wise"}),
}
EPOCHS = 3


def parts() -> tuple[Dataset, Dataset, Dataset]:
    return leave_last_out(small_world(USERS))


def losses_of(case: Case, run: Path | None, epochs: int) -> list[float]:
    """Losses of the global batches up to an epoch, gone on with where a run is there."""
    train, valid, _ = parts()
    torch.manual_seed(0)
    arguments = dict(case.arguments)
    if "encoder" in arguments:  # built after the seed was set
        arguments["encoder"] = arguments["encoder"]()
    model: nn.Module = (Ranker if case.ranker else TwoTower)(train.schema, 8, **arguments)
    size = case.size or next(n for n in range(50, 200) if len(train.events) % n in (1, 2))
    losses: list[float] = []
    fit(
        model,
        train,
        valid,
        epochs=epochs,
        sharding=case.sharding,
        output=run,
        resume=run is not None,
        progress=False,
        on_step=lambda step, loss: losses.append(loss),
        optimization=Optimization(global_batch_size=size),
        early_stopping=EarlyStopping(patience=9),
        loss=None if case.ranker else SoftmaxCrossEntropy("catalogue"),
    )
    return losses


def go_on(folder: Path, epochs: int) -> dict[str, list[float]]:
    join_group()
    return {name: losses_of(case, folder / name, epochs) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def alone() -> dict[str, list[float]]:
    join_group()
    return {name: losses_of(case, None, EPOCHS) for name, case in CASES.items()}


@pytest.fixture(scope="module")
def moved(tmp_path_factory) -> list[list[dict[str, list[float]]]]:
    """The losses of each rank: an epoch on two ranks, the next on one and another on three."""
    folder = tmp_path_factory.mktemp("moved")
    ranks = (2, 1, 3)
    return [processes.run(go_on, folder, epoch + 1, processes=n) for epoch, n in enumerate(ranks)]


@pytest.mark.parametrize("name", CASES)
def test_two_ranks_then_one_then_three_learn_what_one_does(name, alone, moved):
    steps = len(alone[name]) // EPOCHS
    assert steps >= 3 and alone[name][-1] != alone[name][0]
    for epoch, ranks in enumerate(moved):
        for rank in ranks:
            wanted = alone[name][epoch * steps : (epoch + 1) * steps]
            assert rank[name] == pytest.approx(wanted, abs=2e-4)
