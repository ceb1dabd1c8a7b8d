import pytest
import torch
from torch import nn
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.distributed import shard
from torchrec_ext.errors import InputError


class Words(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        table = EmbeddingBagConfig(name="word", embedding_dim=width, num_embeddings=6, feature_names=["text"])
        self.bags = EmbeddingBagCollection([table], device=torch.device("meta"))
        self.over = nn.Linear(width, 1)


def test_it_returns_a_plain_dmp_whose_tables_are_updated_in_the_backward_pass():
    model = Words()
    dmp = shard(model, learning_rate=0.25)
    assert type(dmp) is DistributedModelParallel
    assert dmp.module is model
    assert isinstance(model.bags, ShardedEmbeddingBagCollection)
    assert [group["lr"] for group in dmp.fused_optimizer.param_groups] == [0.25]
    assert list(dmp.fused_optimizer.params) == ["bags.embedding_bags.word.weight"]
    assert {name for name, _ in dmp.named_parameters()} == {
        "bags.embedding_bags.word.weight", "over.weight", "over.bias",
    }  # fmt: skip


def test_a_model_that_is_sharded_is_refused():
    model = Words()
    shard(model)
    with pytest.raises(InputError, match="the model is sharded already; build a new one"):
        shard(model)


def test_a_model_without_a_table_is_only_wrapped():
    dmp = shard(nn.Linear(2, 1))
    assert dmp(torch.ones(1, 2)).shape == (1, 1)


@pytest.mark.parametrize(("width", "near"), [(1, 4), (6, 8), (50, 52)])
def test_a_width_that_the_kernels_refuse_is_explained(width, near):
    message = (
        f"table 'word' has embedding_dim={width}, but the kernels of sharded tables need a multiple of 4; "
        f"use {near}, or replicate the table with sharding word=data_parallel"
    )
    for sharding in ({}, {"word": "column_wise"}):
        with pytest.raises(InputError) as error:
            shard(Words(width), sharding=sharding)
        assert str(error.value) == message


def test_a_replicated_table_has_any_width():
    model = Words(width=6)
    dmp = shard(model, sharding={"word": "data_parallel"})
    ids = KeyedJaggedTensor(["text"], torch.arange(6), lengths=torch.ones(6, dtype=torch.int64))
    assert dmp.module.bags(ids)["text"].shape == (6, 6)
    sequence = EmbeddingConfig(name="word", embedding_dim=6, num_embeddings=6, feature_names=["text"])
    own = nn.Sequential(EmbeddingCollection([sequence], device=torch.device("meta")))
    with pytest.raises(InputError, match="table 'word' has embedding_dim=6"):
        shard(own)
    assert shard(own, sharding={"word": "data_parallel"})(ids)["text"].values().shape == (6, 6)
