import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.distributed import Finding, doctor, shard
from torchrec_ext.models import Ranker, TwoTower, task_for


@torch.fx.wrap
def drop_all(ids: KeyedJaggedTensor) -> KeyedJaggedTensor:
    return ids


class Drop(nn.Module):
    def forward(self, ids: KeyedJaggedTensor) -> KeyedJaggedTensor:
        return ids


class Model(nn.Module):
    """A collection that ``call`` uses, or not."""

    def __init__(self, call: Callable[["Model", SimpleNamespace], object]) -> None:
        super().__init__()
        table = EmbeddingBagConfig(name="word", embedding_dim=4, num_embeddings=6, feature_names=["text"])
        self.bags = EmbeddingBagCollection([table], device=torch.device("cpu"))
        self.drop = Drop()
        self.call = call

    def forward(self, batch: SimpleNamespace) -> object:
        return self.call(self, batch)


def branch(model: Model, batch: SimpleNamespace) -> object:
    if batch.dense.sum() > 0:
        return batch.dense
    return model.bags(batch.words)


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda m, batch: m.bags(batch.words), None),
        (lambda m, batch: m.bags(batch["words"][0]), None),
        (lambda m, batch: m.bags(batch.words.permute([0])), r"by the method permute\(\); do that in the"),
        (lambda m, batch: m.bags(batch.words.split([1])[0]), r"made by the method split\(\)"),
        (lambda m, batch: m.bags(drop_all(batch.words)), r"made by the function drop_all\(\)"),
        (lambda m, batch: m.bags(m.drop(batch.words)), "made by the module drop"),
        (lambda m, batch: (m.bags(batch.words), m.bags(batch.words)), "calls it 2 times; look all up in one"),
        (lambda m, batch: batch.dense, "forward never calls it"),
        (lambda m, batch: m.bags(), "called without an input"),
        (lambda m, batch: m.bags(7), r"made by forward itself \(7\)"),
        (branch, r"cannot be traced down to it \(TraceError: .*\); keep branches on tensor values"),
    ],
)  # fmt: skip
def test_one_collection(call, why):
    (finding,) = doctor(shard(Model(call)))
    assert finding.module == "bags"
    assert finding.overlapped == (why is None)
    if why is None:
        assert str(finding) == "bags: overlapped, its input comes straight from the batch"
    else:
        assert str(finding).startswith("bags: NOT overlapped, ")
        assert re.search(why, finding.why), finding.why


def test_our_models_are_overlapped_throughout():
    train, _, _ = leave_last_out(small_world())
    for model, modules in (
        (
            TwoTower(train.schema, 8, "gru", ("user",), ("item_genres",)),
            ["embeddings.bags", "embeddings.events"],
        ),
        (Ranker(train.schema, 8), ["embeddings.bags", "id_weights.fields"]),
        (
            Ranker(train.schema, 8, ("user", "item"), target_attention="din"),
            ["embeddings.bags", "embeddings.events", "id_weights.fields", "id_weights.candidates"],
        ),
    ):
        findings = doctor(shard(task_for(model)))
        assert [f.module for f in findings] == [f"model.{module}" for module in modules]
        assert all(f.overlapped for f in findings), findings


def test_it_takes_the_model_inside_too():
    dmp = shard(Model(lambda m, batch: m.bags(batch.words)))
    assert (
        doctor(dmp.module)
        == doctor(dmp)
        == [Finding("bags", True, "its input comes straight from the batch")]
    )
