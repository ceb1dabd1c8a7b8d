"""Batches of unequal size are refused in one line where gloo would fail on them, and nowhere else."""

import pytest
import torch
from torch import nn
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.errors import InputError

BY_ROWS = ("row_wise", "table_row_wise", "grid_shard")
OTHERS = ("table_wise", "column_wise", "table_column_wise", "data_parallel")
SEQUENCES = ("table_wise", "row_wise", "column_wise")
WIDTH = 8
SIZES = (4, 2)


class Words(nn.Module):
    def __init__(self, bag: bool) -> None:
        super().__init__()
        self.bag = bag
        config, collection = (
            (EmbeddingBagConfig, EmbeddingBagCollection) if bag else (EmbeddingConfig, EmbeddingCollection)
        )
        table = config(name="word", num_embeddings=20, embedding_dim=WIDTH, feature_names=["word"])
        self.words = collection(tables=[table], device=torch.device("meta"))

    def forward(self, ids: KeyedJaggedTensor) -> tuple[torch.Tensor, torch.Tensor]:
        looked_up = self.words(ids)["word"]
        vectors = looked_up if self.bag else looked_up.values()
        loss = vectors.square().sum()
        return loss, loss.detach()


def batch(size: int) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(["word"], torch.arange(size), lengths=torch.ones(size, dtype=torch.int64))


def outcome(bag: bool, kind: str, pipelined: bool = False) -> str:
    """What training on an even and then on an uneven batch ends in."""
    group = join_group(timeout=60)
    dmp = shard(Words(bag), sharding={"word": kind})
    with torch.no_grad():
        dmp(batch(SIZES[group.rank]))  # no gradient is exchanged
    batches = [batch(4), batch(SIZES[group.rank])]
    try:
        if pipelined:
            pipeline = TrainPipelineSparseDist(dmp, torch.optim.SGD([torch.zeros(1)]), group.device)
            feed = iter(batches)
            for _ in batches:
                pipeline.progress(feed)
        else:
            for one in batches:
                dmp(one)[0].backward()
    except InputError as error:
        return str(error)
    return "trained"


def outcomes() -> dict[tuple[bool, str, bool], str]:
    cases = [(True, kind, False) for kind in (*BY_ROWS, *OTHERS)]
    cases += [(False, kind, False) for kind in SEQUENCES] + [(True, "row_wise", True)]
    return {case: outcome(*case) for case in cases}


@pytest.fixture(scope="module")
def on_two_ranks() -> list[dict[tuple[bool, str, bool], str]]:
    return processes.run(outcomes)


@pytest.mark.parametrize(("kind", "pipelined"), [*((kind, False) for kind in BY_ROWS), ("row_wise", True)])
def test_they_are_refused_on_every_rank(kind, pipelined, on_two_ranks):
    for rank in on_two_ranks:
        assert rank[True, kind, pipelined] == (
            "the ranks have batches of 4, 2 examples, but over gloo pooled tables split by rows (word) "
            "need as many on every rank; drop or pad the last batch, or shard them table_wise"
        )


@pytest.mark.parametrize(
    ("bag", "kind"), [*((True, kind) for kind in OTHERS), *((False, kind) for kind in SEQUENCES)]
)
def test_other_tables_take_them(bag, kind, on_two_ranks):
    assert [rank[bag, kind, False] for rank in on_two_ranks] == ["trained", "trained"]
