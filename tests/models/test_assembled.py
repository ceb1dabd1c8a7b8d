"""Every well-known model trains for some steps on a small world, and is described in JSON."""

import inspect
import json
import math

import pytest
import torch

from tests.worlds import small_world
from torchrec_ext import models, plugins
from torchrec_ext.data import leave_last_out
from torchrec_ext.losses import BinaryCrossEntropy, SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower, rankers, retrievers
from torchrec_ext.training import Optimization, fit


def functions(module) -> list[str]:
    return [
        name
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and name[0] != "_"
    ]


RETRIEVERS, RANKERS = functions(retrievers), functions(rankers)


@pytest.fixture(scope="module")
def parts():
    return leave_last_out(small_world())


@pytest.mark.parametrize("name", RETRIEVERS + RANKERS)
def test_it_learns_and_can_be_written_down(parts, name):
    train, valid, _ = parts
    torch.manual_seed(0)
    model = getattr(models, name)(train.schema, dim=16)
    assert isinstance(model, TwoTower if name in RETRIEVERS else Ranker)
    description = plugins.specification(model, without=("schema",))
    again = plugins.rebuild(json.loads(json.dumps(description)), schema=train.schema)
    assert {n: p.shape for n, p in again.named_parameters()} == {
        n: p.shape for n, p in model.named_parameters()
    }
    losses: list[float] = []
    fit(
        model,
        train,
        valid,
        epochs=4,
        positive=(4, 5) if name == "mmoe" else 4,
        progress=False,
        on_step=lambda step, loss: losses.append(loss),
        optimization=Optimization(
            global_batch_size=16 if name in RETRIEVERS else 128, learning_rate=0.005, table_learning_rate=0.1
        ),
        loss=SoftmaxCrossEntropy("catalogue")
        if name in RETRIEVERS
        else BinaryCrossEntropy(weigh_by_rating=name == "youtube_ranker"),
    )
    assert all(map(math.isfinite, losses))
    third = len(losses) // 3
    assert sum(losses[-third:]) < 0.98 * sum(losses[:third])


def test_each_is_a_function_of_a_few_lines():
    for name in RETRIEVERS + RANKERS:
        body = inspect.getsource(getattr(models, name)).split('"""')[2].strip().splitlines()
        assert len(body) <= 20, name
