"""Training on each device that there is; ``pytest -m gpu`` runs the cases of a GPU."""

from typing import Any

import numpy as np
import pytest
import torch

import torchrec_ext as tx
from tests.worlds import small_world

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def trained(kind: str, device: str) -> tuple[Any, list[float]]:
    """A model after an epoch, and the loss of each step."""
    train, valid, _ = tx.data.leave_last_out(small_world(features=False))
    torch.manual_seed(0)
    if kind == "retriever":
        model: Any = tx.models.TwoTower(train.schema, 8, "mean_pool", max_length=10)
    else:
        model = tx.models.Ranker(train.schema, 8, interaction="dot", over_arch=None)
    losses: list[float] = []
    found = tx.training.fit(
        model, train, valid, epochs=1, device=device, progress=False,
        on_step=lambda step, loss: losses.append(loss),
        optimization=tx.training.Optimization(global_batch_size=16),
    )  # fmt: skip
    return found, losses


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("kind", ["retriever", "ranker"])
def test_a_device_trains_as_a_cpu_does(kind: str, device: str) -> None:
    found, losses = trained(kind, device)
    _, expected = trained(kind, "cpu")
    assert len(losses) > 3 and losses[-1] != losses[0]
    np.testing.assert_allclose(losses, expected, rtol=1e-3)
    assert {p.device.type for p in found.module.parameters()} == {device}


@pytest.mark.parametrize("device", DEVICES)
def test_a_model_of_a_device_recommends(device: str) -> None:
    found, _ = trained("retriever", device)
    users = small_world(features=False).frame["user"].unique()[1:4]
    lists = tx.retrieval.recommend(found, small_world(features=False), users, k=4)
    assert lists.groupby("user")["item"].nunique().tolist() == [4, 4, 4]
