"""Two ranks gather a whole table, or divide the catalogue, and learn what they learn without."""

import sys
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.distributed.whole_table import look_up_whole_table, looks_up_whole_table
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.losses import dot_product_cross_entropy, sharded_cross_entropy, sharded_targets

ROWS, DIM = 21, 8
"""One rank holds 11 rows and the other 10."""


def collection(*tables: str) -> EmbeddingCollection:
    configs = [
        EmbeddingConfig(ROWS, DIM, name, feature_names=[f"{name}s", f"all_{name}s"]) for name in tables
    ]
    return EmbeddingCollection(configs, device=torch.device("meta"))


def batches(rank: int) -> list[KeyedJaggedTensor]:
    generator = torch.Generator().manual_seed(rank)
    made = []
    for step in range(4):
        lengths = torch.randint(0, 4, (3,), generator=generator)
        some = torch.randint(ROWS, (int(lengths.sum()),), generator=generator)
        every = torch.zeros(3, dtype=torch.int64)
        every[step % 3] = ROWS
        ids = torch.cat([torch.arange(ROWS), some])
        made.append(KeyedJaggedTensor(["all_items", "items"], ids, lengths=torch.cat([every, lengths])))
    return made


def trained(whole: bool) -> tuple[list[dict[str, Tensor]], dict[str, Tensor], Tensor]:
    """What each step looks up and the last one without gradients, this rank's rows, and Adagrad's state."""
    group = join_group()
    dmp = shard(collection("item"), sharding={"item": "row_wise"})
    model = dmp.module
    initialise_tables(model, seed=0)
    if whole:
        look_up_whole_table(model, "item")
    assert looks_up_whole_table(model) == whole
    found = []
    for batch in batches(group.rank):
        vectors = {key: its.values() for key, its in dmp(batch).items()}
        (vectors["items"].square().sum() + vectors["all_items"].sum()).backward()
        found.append({key: its.detach() for key, its in sorted(vectors.items())})
    with torch.no_grad():
        found.append({key: its.values() for key, its in sorted(dmp(batches(group.rank)[0]).items())})
    states = dmp.fused_optimizer.state_dict()["state"]
    (state,) = (its for held in states.values() for its in held.values())
    tables = {key: its.local_shards()[0].tensor.clone() for key, its in model.state_dict().items()}
    return found, tables, state.local_shards()[0].tensor.clone()


CASES: dict[str, dict[str, Any]] = {
    "weighted": {},
    "not weighted": {"weighted": False},
    "a rank without targets": {"counts": (40, 0)},
    "no targets": {"counts": (0, 0)},
    "float64": {"dtype": torch.float64},
    "bfloat16": {"narrow": True},
}


def losses(
    counts: tuple[int, int] = (70, 45),
    weighted: bool = True,
    dtype: torch.dtype = torch.float32,
    narrow: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """Loss, gradients of queries and of this rank's items, and targets: of all items, and of the slices."""
    rank, generator = dist.get_rank(), torch.Generator().manual_seed(0)
    queries, items = (torch.randn(n, DIM, generator=generator, dtype=dtype) for n in (sum(counts), ROWS))
    labels = torch.randint(-1, ROWS, (len(queries),), generator=generator)
    weights = torch.rand(len(queries), generator=generator)
    own, held = slice(0, counts[0]) if rank == 0 else slice(counts[0], None), slice(11 * rank, 11 + 10 * rank)
    labels, weights = labels[own], weights[own] if weighted else None
    outcomes = []
    for divided in (False, True):
        queries_ND, items_CD = queries[own].clone().requires_grad_(), items.clone().requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=narrow):
            if divided:
                first = torch.tensor(11 * rank)
                loss = sharded_cross_entropy(queries_ND, items_CD[held], labels, weights, first)
            else:
                loss = dot_product_cross_entropy(queries_ND, items_CD, labels, weights)
        (3 * loss).backward()
        if not divided:
            dist.all_reduce(items_CD.grad)
        found = items[labels.clamp(min=0)]
        if divided:
            found = sharded_targets(items_CD[held], labels.clamp(min=0), first)
        outcomes.append([loss.detach(), queries_ND.grad, items_CD.grad[held], found])
    return outcomes[0], outcomes[1]


def both() -> tuple[object, object, list[bool], dict[str, tuple[list[Tensor], list[Tensor]]]]:
    exchanged, gathered = trained(False), trained(True)
    sys.modules[dot_product_cross_entropy.__module__]._BLOCK = {"cpu": 1}  # blocks of 32 targets
    others = []
    for tables, kind in ((("item", "user"), "row_wise"), (("item",), "table_wise"), (("user",), "row_wise")):
        model = shard(collection(*tables), sharding=dict.fromkeys(tables, kind)).module
        look_up_whole_table(model, "item")
        others.append(looks_up_whole_table(model))
    return exchanged, gathered, others, {name: losses(**case) for name, case in CASES.items()}


@pytest.mark.parametrize("rank", [0, 1])
def test_a_whole_table_is_what_the_exchange_brings(rank, outcomes):
    exchanged, gathered, others, _ = outcomes[rank]
    assert exchanged[1]["embeddings.item.weight"].shape == (11 - rank, DIM)
    torch.testing.assert_close(gathered, exchanged, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(gathered[0][0], exchanged[0][0], rtol=0, atol=0)
    assert others == [False, False, False]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("rank", [0, 1])
def test_slices_have_the_loss_and_the_gradients_of_all_items(rank, case, outcomes):
    wanted, found = outcomes[rank][3][case]
    tolerance = 0.02 if case == "bfloat16" else 1e-6
    for expected, mine in zip(wanted, found, strict=True):
        largest = float(expected.abs().max()) if expected.numel() else 0.0
        torch.testing.assert_close(mine, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.fixture(scope="module")
def outcomes():
    return processes.run(both)
