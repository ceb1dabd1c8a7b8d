import pytest
import torch
from torch import nn
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.modules.embedding_configs import EmbeddingBagConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection

from torchrec_ext.distributed import shard
from torchrec_ext.errors import InputError


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        table = EmbeddingBagConfig(name="word", embedding_dim=4, num_embeddings=6, feature_names=["text"])
        self.bags = EmbeddingBagCollection([table], device=torch.device("meta"))
        self.over = nn.Linear(4, 1)


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
