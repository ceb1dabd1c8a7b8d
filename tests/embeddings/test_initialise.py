"""The first weights depend on seed, table and row alone."""

import torch
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

from tests import processes
from tests.shards import held
from torchrec_ext.batch import Inputs
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import Embeddings, initialise_tables
from torchrec_ext.schema import Feature, Schema, Table

ROWS = 5000  # more than one block of rows
SCHEMA = Schema(
    (Table("user", ROWS), Table("item", 5)),
    (Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")),
)
KINDS = ("row_wise", "table_wise", "column_wise", "data_parallel")


def first_weights(dim: int, sharding: str, seed: int = 0) -> dict[str, torch.Tensor]:
    """Table to its weights, NaN where another rank holds them."""
    embeddings = Embeddings(SCHEMA, dim, Inputs(fields=("user",), max_length=3))
    shard(embeddings, sharding={"user": sharding, "item": sharding})
    initialise_tables(embeddings, seed)
    return {key.split(".")[-2]: weights for key, weights in held(embeddings.state_dict()).items()}


def of_each_kind() -> dict[str, dict[str, torch.Tensor]]:
    return {kind: first_weights(8, kind) for kind in KINDS}


def test_rows_are_normal_with_variance_1_over_dim_and_row_0_is_zero():
    user = first_weights(50, "row_wise")["user"]
    assert (user[0] == 0).all() and (user[:, 50:] == 0).all()
    assert abs(user[1:, :50].var().item() * 50 - 1) < 0.02
    assert abs(user[1:, :50].mean().item()) < 0.001
    assert not torch.equal(user[1:905, :50], user[4097:5001, :50]), "blocks differ"


def test_seed_and_table_change_them():
    one, other = first_weights(8, "row_wise", seed=1), first_weights(8, "row_wise", seed=2)
    assert not torch.equal(one["user"], other["user"])
    assert not torch.equal(one["user"][:5], one["item"])


def test_tables_of_ones_own_are_drawn_unless_they_have_an_init_fn():
    drawn = first_weights(8, "row_wise")["user"]
    ones = torch.nn.init.ones_
    for config, kind in (
        (EmbeddingBagConfig, EmbeddingBagCollection),
        (EmbeddingConfig, EmbeddingCollection),
    ):
        tables = [
            config(num_embeddings=ROWS, embedding_dim=8, name="user", feature_names=["user"]),
            config(num_embeddings=ROWS, embedding_dim=8, name="own", feature_names=["own"], init_fn=ones),
        ]
        for sharding in ("row_wise", "data_parallel", None):  # None leaves it unsharded
            collection = torch.nn.Sequential(kind(tables=tables))
            if sharding:
                shard(collection, sharding={"user": sharding, "own": sharding})
            initialise_tables(collection, seed=0)
            found = {key.split(".")[-2]: weights for key, weights in held(collection.state_dict()).items()}
            assert torch.equal(found["user"], drawn)
            assert (found["own"] == 1).all()


def test_they_are_the_same_under_every_sharding_and_number_of_processes():
    wanted = first_weights(8, "table_wise")
    together = processes.run(of_each_kind)
    for kind, alone in of_each_kind().items():
        for table in ("user", "item"):
            assert torch.equal(alone[table], wanted[table]), (kind, table)
            shares = torch.stack([rank[kind][table] for rank in together])
            there = ~shares.isnan()
            assert there.any(0).all(), "each weight is on some rank"
            if kind in ("row_wise", "column_wise"):
                assert there.any(-1).any(-1).all(), f"each rank holds a part of {table}"
                assert (there.sum(0) == 1).all()
            assert torch.equal(shares.nan_to_num(-torch.inf).amax(0), wanted[table]), (kind, table)
