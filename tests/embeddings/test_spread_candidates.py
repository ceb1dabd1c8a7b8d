"""Shared candidates travel with the histories through one lookup of a sharded table."""

import pytest
import torch
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import doctor, join_group, shard
from torchrec_ext.embeddings import initialise_tables, pad_history, spread_candidates
from torchrec_ext.errors import InputError

CANDIDATES = torch.tensor([9, 0, 4, 4, 7])


@pytest.mark.parametrize(
    ("count", "batch_size", "lengths"),
    [(5, 2, [2, 3]), (1, 3, [0, 0, 1]), (0, 2, [0, 0]), (4, 4, [1, 1, 1, 1]), (7, 1, [7])],
)
def test_they_keep_their_order_and_are_spread_evenly(count, batch_size, lengths):
    ids = torch.arange(count) + 10
    found = spread_candidates(ids, batch_size, key="item")
    assert found.keys() == ["item"] and found.stride() == batch_size
    assert torch.equal(found.values(), ids) and found.lengths().tolist() == lengths


class Scores(nn.Module):
    """Dot products of each history's mean and the candidates, of one table."""

    def __init__(self) -> None:
        super().__init__()
        item = EmbeddingConfig(
            name="item", num_embeddings=10, embedding_dim=8, feature_names=["history", "candidates"]
        )
        self.items = EmbeddingCollection([item], device=torch.device("meta"))

    def forward(self, ids: KeyedJaggedTensor) -> torch.Tensor:
        looked_up = self.items(ids)
        events_BTD, _ = pad_history(looked_up["history"], max_length=3)
        return events_BTD.mean(1) @ looked_up["candidates"].values().T


def scores_of_three(kind: str) -> torch.Tensor:
    group = join_group()
    model = Scores()
    dmp = shard(model, sharding={"item": kind})
    initialise_tables(model, seed=0)
    assert all(finding.overlapped for finding in doctor(dmp))
    history = KeyedJaggedTensor(["history"], torch.tensor([1, 2, 3, 8]), lengths=torch.tensor([2, 0, 2]))
    candidates = CANDIDATES if group.first else CANDIDATES[:2]  # other ones on each rank
    scores = dmp(KeyedJaggedTensor.concat([history, spread_candidates(candidates, batch_size=3)]))
    scores.sum().backward()
    return scores.detach()


@pytest.mark.parametrize("kind", ["row_wise", "table_wise"])
def test_a_sharded_table_looks_them_up_with_the_histories(kind):
    wanted = scores_of_three("table_wise")
    assert wanted.shape == (3, 5) and not wanted[1].any() and not wanted[:, 1].any()
    first, second = processes.run(scores_of_three, kind)
    torch.testing.assert_close(first, wanted)
    torch.testing.assert_close(second, wanted[:, :2])


def test_wrong_arguments_are_explained():
    with pytest.raises(InputError, match=r"ids_C should be \(candidates,\), received \(1, 2\)"):
        spread_candidates(torch.tensor([[1, 2]]), 2)
    with pytest.raises(InputError, match="ids_C should be integers, received torch.float32; convert them"):
        spread_candidates(torch.tensor([1.0]), 2)
    with pytest.raises(InputError, match="batch_size should be at least 1, received 0"):
        spread_candidates(torch.tensor([1]), 0)
