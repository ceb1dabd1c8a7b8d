import pytest
import torch
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection

from tests import processes
from tests.embeddings.test_tables import keyed
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import Embeddings, initialise_tables
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Feature, Schema, Table

BAGS = (
    "table_wise", "row_wise", "column_wise", "table_column_wise", "table_row_wise", "grid_shard",
    "data_parallel",
)  # fmt: skip
SEQUENCES = ("table_wise", "row_wise", "column_wise", "data_parallel")
TOO_LARGE = 10**11


def embeddings(items: int = 40) -> Embeddings:
    """The user table pooled; the item and the genre table for sequences."""
    schema = Schema(
        (Table("user", 100), Table("item", items), Table("genre", 10)),
        (
            Feature("user", "user", "user", "user"),
            Feature("item", "item", "item", "item"),
            Feature("item_genres", "genre", "item", "genres", many=True),
        ),
    )
    inputs = Inputs(("user",), max_length=5, candidates=True, candidate_fields=("item_genres",))
    return Embeddings(schema, 8, inputs)


def shard_in_each_way() -> dict[str, tuple[dict[str, str], str, list[torch.Tensor]]]:
    """For each override the sharding types, the plan as text and looked-up vectors; and the errors."""
    found = {}
    for name, bag, sequence in (
        *((f"bag {kind}", kind, "row_wise") for kind in BAGS),
        *((f"sequence {kind}", "row_wise", kind) for kind in SEQUENCES),
    ):
        module = embeddings()
        lines: list[str] = []
        overrides = {"user": bag, "item": sequence, "genre": sequence}
        dmp = shard(module, sharding=overrides, learning_rate=0.5, log=lines.append)
        initialise_tables(module, seed=0)
        planned = {
            table: parameter.sharding_type
            for collection in dmp.plan.plan.values()
            for table, parameter in collection.items()
        }
        batch = Batch(
            keyed(user=[[99], [1]]),
            keyed(history=[[3, 39], [2]], candidates=[[1], [2]], candidates_item_genres=[[9], [1, 2]]),
            torch.zeros(2, 0),
        )
        fields_BFD, sequences = module(batch)
        vectors = [fields_BFD, *(jagged.values() for jagged in sequences.values())]
        sum(v.square().sum() for v in vectors).backward()
        found[name] = planned, "\n".join(lines), [v.detach() for v in vectors]
    with pytest.raises(InputError, match="no sharding plan for 2 rank") as error:
        shard(embeddings(TOO_LARGE))
    found["error"] = {}, str(error.value), []
    return found


@pytest.fixture(scope="module")
def on_two_ranks() -> list[dict[str, tuple[dict[str, str], str, list[torch.Tensor]]]]:
    return processes.run(shard_in_each_way)


@pytest.mark.parametrize("kind", BAGS)
def test_a_bag_gets_the_sharding_asked_for(kind, on_two_ranks):
    for rank in on_two_ranks:
        planned, _, vectors = rank[f"bag {kind}"]
        assert planned["user"] == kind
        for vector, wanted in zip(vectors, on_two_ranks[0]["bag row_wise"][2], strict=True):
            torch.testing.assert_close(vector, wanted)


@pytest.mark.parametrize("kind", SEQUENCES)
def test_a_sequence_gets_the_sharding_asked_for(kind, on_two_ranks):
    for rank in on_two_ranks:
        planned, text, vectors = rank[f"sequence {kind}"]
        # a collection that is to be replicated is left out of TorchRec's plan
        wanted = {} if kind == "data_parallel" else {"item": kind, "genre": kind}
        assert planned == {"user": "row_wise", **wanted}
        for vector, expected in zip(vectors, on_two_ranks[0]["bag row_wise"][2], strict=True):
            torch.testing.assert_close(vector, expected)


def test_rank_0_alone_logs_the_plan(on_two_ranks):
    text = on_two_ranks[0]["sequence data_parallel"][1]
    head, *lines = (line.split() for line in text.splitlines())
    assert head == ["table", "rows", "width", "bytes", "per", "rank", "sharding", "why"]
    assert lines == [
        ["user", "100", "8", "0.0", "MiB", "row_wise", "asked", "for"],
        ["item", "40", "8", "0.0", "MiB", "data_parallel", "asked", "for"],
        ["genre", "10", "8", "0.0", "MiB", "data_parallel", "asked", "for"],
    ]
    assert on_two_ranks[1]["sequence data_parallel"][1] == ""


def test_every_rank_refuses_a_table_that_is_too_large(on_two_ranks):
    for rank in on_two_ranks:
        text = rank["error"][1]
        assert "no overrides" in text and "'item' (2,980.23 GiB)" in text and "\n" not in text
        assert "shard it row_wise, add ranks or lower dim" in text


def test_the_bytes_are_those_of_each_rank():
    lines: list[str] = []
    shard(embeddings(items=2**20), log=lines.append)
    (line,) = (line for line in lines[0].splitlines() if line.startswith("item"))
    assert line.split()[:5] == ["item", "1,048,576", "8", "32.0", "MiB"]
    assert line.endswith("table_wise  one process holds whole tables")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"items": "row_wise"}, "table 'items', which the model does not have; it has user, item"),
        ({"item": "rowwise"}, "'rowwise' of table 'item' .* an EmbeddingCollection; choose one of"),
        ({"item": "grid_shard"}, "'grid_shard' of table 'item' is not possible in an EmbeddingCollection"),
        ({"user": "mesh"}, "'mesh' of table 'user' is not possible in an EmbeddingBagCollection"),
        (
            {"item": "data_parallel", "genre": "row_wise"},
            "data_parallel of item replicates .* genre of the same one would be sharded; add genre=data_par",
        ),
    ],
)  # fmt: skip
def test_a_sharding_that_a_table_cannot_have_is_explained(overrides, message):
    with pytest.raises(InputError, match=message):
        shard(embeddings(), sharding=overrides)


def test_a_collection_of_ones_own_is_planned_too():
    table = EmbeddingConfig(name="word", embedding_dim=4, num_embeddings=6, feature_names=["text"])
    own = torch.nn.Sequential(EmbeddingCollection([table], device=torch.device("cpu")))
    dmp = shard(own, sharding={"word": "row_wise"})
    assert dmp.plan.plan["0"]["word"].sharding_type == "row_wise"
    assert dmp.plan.plan["0"]["word"].compute_kernel == "fused"
