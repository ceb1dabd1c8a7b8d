"""A weight for each id and task: looked up, summed, zero at first."""

import pytest
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from tests.shards import held, joined
from torchrec_ext.batch import Batch, Inputs
from torchrec_ext.distributed import shard
from torchrec_ext.embeddings import FirstOrder, initialise_tables
from torchrec_ext.schema import Feature, Schema, Table

SCHEMA = Schema(
    (Table("user", 4), Table("item", 5), Table("genre", 3)),
    (
        Feature("user", "user", "user", "user"),
        Feature("item", "item", "item", "item"),
        Feature("item_genres", "genre", "item", "genres"),
    ),
)
KINDS = ("row_wise", "table_wise", "data_parallel")


def jagged(keys: list[str], values: list[int], lengths: list[int]) -> KeyedJaggedTensor:
    return KeyedJaggedTensor(keys, torch.tensor(values), lengths=torch.tensor(lengths))


# Two examples: user 1, item 4, genres 1 and 2; and user 3, item 2, no genre.
BATCH = Batch(
    fields=jagged(["user", "item", "item_genres"], [1, 3, 4, 2, 1, 2], [1, 1, 1, 1, 2, 0]),
    sequences=jagged(["history", "candidates"], [2, 3, 4, 2], [2, 0, 1, 1]),
    dense=torch.zeros(2, 0),
)


def sharded(inputs: Inputs, tasks: int = 1, kind: str = "table_wise") -> FirstOrder:
    first_order = FirstOrder(SCHEMA, inputs, tasks)
    tables = [name.split(".")[-2] for name, _ in first_order.named_parameters()]
    shard(first_order, sharding=dict.fromkeys(tables, kind))
    return first_order


def fill(first_order: FirstOrder) -> None:
    """Task t of row r of a table weighs 10 ** t * r, but for the genres 100 times as much."""
    with torch.no_grad():
        for key, value in first_order.state_dict().items():
            tensor = value.local_shards()[0].tensor
            scale = 100.0 if "genre" in key else 1.0
            tensor.copy_(scale * torch.arange(len(tensor))[:, None] * 10.0 ** torch.arange(tensor.shape[1]))


@pytest.mark.parametrize(("tasks", "width"), [(1, 4), (2, 4), (5, 8)])
def test_weights_of_the_fields_are_summed_and_several_ids_averaged(tasks, width):
    first_order = sharded(Inputs(fields=("user", "item", "item_genres")), tasks)
    fill(first_order)
    assert {value.size()[1] for value in first_order.state_dict().values()} == {width}
    scale = 10.0 ** torch.arange(tasks)
    expected = torch.stack([(1 + 4 + 100 * 1.5) * scale, (3 + 2) * scale])
    torch.testing.assert_close(first_order(BATCH), expected)


def test_an_item_that_is_a_candidate_has_a_weight_too():
    first_order = sharded(Inputs(fields=("user",), max_length=3, candidates=True))
    fill(first_order)
    assert first_order(BATCH).tolist() == [[1.0 + 4.0], [3.0 + 2.0]]


def after_steps() -> dict[str, dict[str, torch.Tensor]]:
    """Of each kind of sharding the weights at first and after a step of the fused optimizer."""
    found = {}
    for kind in ("row_wise", "table_wise"):
        first_order = sharded(Inputs(fields=("user", "item")), kind=kind)
        initialise_tables(first_order, seed=3)
        found[f"{kind} at first"] = held(first_order.state_dict())
        (first_order(BATCH) * torch.tensor([[1.0], [-1.0]])).sum().backward()
        found[f"{kind} later"] = held(first_order.state_dict())
    return found


@pytest.mark.slow
def test_they_begin_at_zero_and_learn_alike_under_every_sharding():
    alone, together = after_steps(), processes.run(after_steps)
    for kind, tables in alone.items():
        shared = joined([rank[kind] for rank in together])
        for table, weights in tables.items():
            if kind.endswith("at first"):
                assert (weights == 0).all() and (shared[table] == 0).all()
            else:
                assert weights[:, 0].nonzero().flatten().tolist() == ([1, 3] if "user" in table else [2, 4])
                torch.testing.assert_close(shared[table], weights.double())
                assert (weights[:, 1:] == 0).all(), "the columns that pad the width"
