import pytest
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import Embeddings, initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Feature, Schema, Table

SCHEMA = Schema(
    tables=(Table("user", 7), Table("item", 9), Table("genre", 4)),
    features=(
        Feature("user", "user", "user", "user"),
        Feature("item", "item", "item", "item"),
        Feature("item_genres", "genre", "item", "genres", many=True),
        Feature("item_second", "genre", "item", "second"),
    ),
)


def keyed(**values: list[list[int]]) -> KeyedJaggedTensor:
    """One list of ids an example for each key."""
    flat = [i for lists in values.values() for one in lists for i in one]
    lengths = [len(one) for lists in values.values() for one in lists]
    return KeyedJaggedTensor(
        list(values), torch.tensor(flat, dtype=torch.int64), lengths=torch.tensor(lengths), stride=2
    )


def test_tables_stand_on_meta_until_they_are_sharded():
    embeddings = Embeddings(SCHEMA, 8, Inputs(fields=("user",), max_length=5, candidates=True))
    assert {p.device.type for p in embeddings.parameters()} == {"meta"}


def test_a_width_of_50_is_padded_out_of_sight():
    inputs = Inputs(fields=("user", "item_genres"), max_length=5, candidates=True)
    embeddings = Embeddings(SCHEMA, 50, inputs)
    shard(embeddings)
    initialise_tables(embeddings, seed=3)
    weights = {key.split(".")[-2]: full(value) for key, value in embeddings.state_dict().items()}
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == {
        "user": (7, 52), "genre": (4, 52), "item": (9, 52),
    }  # fmt: skip
    batch = Batch(
        fields=keyed(user=[[3], [6]], item_genres=[[1, 3], []]),
        sequences=keyed(history=[[2, 2, 8], []], candidates=[[1], [4, 5]]),
        dense=torch.zeros(2, 0),
    )
    fields_BFD, sequences = embeddings(batch)
    assert fields_BFD.shape == (2, 2, 50)
    torch.testing.assert_close(fields_BFD[:, 0], weights["user"][[3, 6], :50])
    torch.testing.assert_close(fields_BFD[0, 1], weights["genre"][[1, 3], :50].mean(0))
    assert (fields_BFD[1, 1] == 0).all(), "no genre is no vector"
    assert sequences["history"].lengths().tolist() == [3, 0]
    torch.testing.assert_close(sequences["history"].values(), weights["item"][[2, 2, 8], :50])
    torch.testing.assert_close(sequences["candidates"].values(), weights["item"][[1, 4, 5], :50])

    (fields_BFD.square().sum() + sequences["history"].values().sum()).backward()  # updates the tables
    after = {key.split(".")[-2]: full(value) for key, value in embeddings.state_dict().items()}
    for name in weights:
        assert not torch.equal(after[name], weights[name]), name
        assert (after[name][:, 50:] == 0).all(), name


def full(value):
    """A table of a process that holds all of it."""
    return value.local_shards()[0].tensor.detach().clone()


def test_features_of_one_table_share_its_rows():
    embeddings = Embeddings(SCHEMA, 4, Inputs(fields=("item_second", "item_genres")))
    (config,) = embeddings.bags.embedding_bag_configs()
    assert (config.name, config.feature_names) == ("genre", ["item_second", "item_genres"])


def test_a_table_in_both_collections_is_refused():
    with pytest.raises(
        InputError, match=r"table 'item' is wanted both pooled \(item\) and as a sequence \(hist"
    ):
        Embeddings(SCHEMA, 8, Inputs(fields=("user", "item"), max_length=5))
    inputs = Inputs(fields=("item_second",), candidates=True, candidate_fields=("item_genres",))
    with pytest.raises(
        InputError, match=r"table 'genre' is wanted both .* sequence \(candidates_item_genres\)"
    ):
        Embeddings(SCHEMA, 8, inputs)


def test_a_width_below_1_is_refused():
    with pytest.raises(InputError, match="dim should be at least 1, received 0"):
        Embeddings(SCHEMA, 0, Inputs(fields=("user",)))
