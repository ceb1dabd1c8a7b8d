"""Bags of several ids pool to the same vectors however each table of the collection is sharded."""

import pytest
import torch
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError

KINDS = (
    "table_wise", "row_wise", "column_wise", "table_column_wise", "table_row_wise", "grid_shard",
    "data_parallel",
)  # fmt: skip
ROWS, WIDTH = 12, 8
IDS = [[0, 5, 11], [7], [], [3, 3, 8, 1]]
"""The bags of both features."""


def collection(*poolings: str, shared: bool = False) -> nn.Module:
    tables = [
        EmbeddingBagConfig(
            name=name, num_embeddings=ROWS, embedding_dim=WIDTH, pooling=PoolingType[pooling],
            feature_names=["one" if shared else name],
        )
        for name, pooling in zip(("one", "two"), poolings, strict=False)
    ]  # fmt: skip
    return nn.Sequential(EmbeddingBagCollection(tables, device=torch.device("meta")))


def bags() -> KeyedJaggedTensor:
    lengths = torch.tensor([len(ids) for ids in IDS] * 2)
    return KeyedJaggedTensor(["one", "two"], torch.tensor(sum(IDS, []) * 2), lengths=lengths)


def error_of_each_pair() -> dict[tuple[str, ...], float]:
    """How far the vectors are from those worked out from the weights, in units of float32's precision."""
    errors = {}
    for kinds in (
        [("row_wise", k) for k in KINDS] + [(k, "row_wise") for k in KINDS] + [(k, k) for k in KINDS]
    ):
        for poolings in (("MEAN", "MEAN"), ("MEAN", "SUM"), ("SUM", "MEAN")):
            model = collection(*poolings)
            sharding = dict(zip(("one", "two"), kinds, strict=True))
            dmp = shard(model, sharding=sharding)
            initialise_tables(model, seed=0)
            found = dmp(bags())
            plain = EmbeddingBagCollection(
                [
                    EmbeddingBagConfig(
                        name=name, num_embeddings=ROWS, embedding_dim=WIDTH, feature_names=[name]
                    )
                    for name in ("one", "two")
                ]
            )
            initialise_tables(plain, seed=0)
            worst = 0.0
            for name, pooling in zip(("one", "two"), poolings, strict=True):
                weight = plain.embedding_bags[name].weight
                wanted = torch.stack([weight[ids].sum(0) for ids in IDS])
                if pooling == "MEAN":
                    wanted /= torch.tensor([[max(len(ids), 1)] for ids in IDS])
                worst = max(worst, (found[name] - wanted).abs().max().item())
            errors[kinds + poolings] = worst
    return errors


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_each_pair_of_shardings_pools_alike(ranks):
    for errors in processes.run(error_of_each_pair, processes=ranks):
        assert len(errors) == 57
        wrong = {case: error for case, error in errors.items() if error > 1e-5}
        assert not wrong


def test_a_feature_of_two_tables_that_torchrec_mixes_up_is_refused():
    shard(collection("MEAN", "MEAN", shared=True), sharding={"one": "row_wise", "two": "row_wise"})
    shard(collection("SUM", "MEAN", shared=True), sharding={"one": "row_wise", "two": "table_wise"})
    with pytest.raises(InputError, match="feature 'one' is looked up in a table that is split by rows and"):
        shard(collection("MEAN", "MEAN", shared=True), sharding={"one": "row_wise", "two": "table_wise"})
