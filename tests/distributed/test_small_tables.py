"""Tables with fewer rows than row-wise sharding needs train on four ranks as on one."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.training.optimizers import make_optimizer

pytestmark = pytest.mark.slow  # trains in several groups of processes

ROWS, BATCH, STEPS = 5, 8, 3
BAGS = ("row_wise", "table_row_wise", "grid_shard", None)
SEQUENCES = ("row_wise", None)


class Small(nn.Module):
    """One table of 5 rows: 2, 2, 1 and 0 on four ranks."""

    def __init__(self, bag: bool, rows: int = ROWS) -> None:
        super().__init__()
        self.bag = bag
        config, collection = (
            (EmbeddingBagConfig, EmbeddingBagCollection) if bag else (EmbeddingConfig, EmbeddingCollection)
        )
        table = config(name="word", num_embeddings=rows, embedding_dim=8, feature_names=["word"])
        self.words = collection(tables=[table], device=torch.device("meta"))

    def forward(self, ids: KeyedJaggedTensor) -> torch.Tensor:
        looked_up = self.words(ids)["word"]
        return looked_up if self.bag else looked_up.values()


def train(bag: bool, kind: str | None, folder: Path | None = None) -> tuple[str, str, list[float]]:
    """The sharding type, the reason in the plan and the losses over the global batch."""
    group = join_group()
    model, lines = Small(bag), []
    dmp = shard(model, sharding={"word": kind} if kind else None, learning_rate=0.5, log=lines.append)
    initialise_tables(model, seed=0)
    ids = torch.arange(BATCH)[group.rank :: group.world_size] % ROWS
    losses = []
    for _ in range(STEPS):
        vectors = dmp(KeyedJaggedTensor(["word"], ids, lengths=torch.ones_like(ids)))
        loss = (vectors - 1).square().sum() * group.world_size / BATCH
        loss.backward()
        whole = loss.detach() / group.world_size
        dist.all_reduce(whole)
        losses.append(whole.item())
    if folder is not None:
        optimizer = make_optimizer(dmp, learning_rate=0.1)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}
        dcp.save(state, storage_writer=dcp.FileSystemWriter(folder))
    (planned,) = (table for tables in dmp.plan.plan.values() for table in tables.values())
    return planned.sharding_type, lines[0].splitlines()[1] if lines else "", losses


def train_in_each_way(folder: Path) -> dict[tuple[bool, str | None], tuple[str, str, list[float]]]:
    found = {}
    for bag, kinds in ((True, BAGS), (False, SEQUENCES)):
        for kind in kinds:
            found[bag, kind] = train(bag, kind, folder / f"{bag}-{kind}")
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("small")


@pytest.fixture(scope="module")
def on_four_ranks(folder):
    return processes.run(train_in_each_way, folder, processes=4)


@pytest.mark.parametrize(
    ("bag", "kind"), [*((True, kind) for kind in BAGS), *((False, kind) for kind in SEQUENCES)]
)
def test_a_table_that_leaves_a_rank_empty_is_table_wise_and_learns_as_on_one_rank(bag, kind, on_four_ranks):
    wanted = train(bag, "table_wise")[2]
    assert len(wanted) == STEPS and wanted[-1] < wanted[0]
    for planned, _, losses in (rank[bag, kind] for rank in on_four_ranks):
        assert planned == "table_wise"
        assert losses == pytest.approx(wanted, rel=1e-6)


def test_the_plan_says_why(on_four_ranks):
    asked = "was asked for, but it would leave 1 of 4 ranks without rows"
    for (_, kind), (_, line, _) in on_four_ranks[0].items():
        assert line.endswith(f"{kind} {asked}" if kind else "row_wise would leave 1 of 4 ranks without rows")


def test_its_checkpoint_opens_row_wise_on_one_rank(on_four_ranks, folder):
    """On one rank every row has a place, so that row-wise is what it gets."""
    for bag, kinds in ((True, BAGS), (False, SEQUENCES)):
        model = Small(bag)
        optimizer = make_optimizer(shard(model, sharding={"word": "row_wise"}), learning_rate=0.1)
        state = {"model": model.state_dict(), "optimizer": optimizer.state_dict()["state"]}
        dcp.load(state, storage_reader=dcp.FileSystemReader(folder / f"{bag}-{kinds[0]}"))
        vectors = model(KeyedJaggedTensor(["word"], torch.arange(ROWS), lengths=torch.ones(ROWS).long()))
        ids = torch.arange(BATCH) % ROWS
        assert (vectors[ids] - 1).square().sum().item() / BATCH < on_four_ranks[0][bag, kinds[0]][2][-1]
