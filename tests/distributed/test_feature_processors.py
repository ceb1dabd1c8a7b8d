"""Collections whose features pass a processor are sharded, drawn and trained on two ranks as on one."""

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.fp_embeddingbag import ShardedFeatureProcessedEmbeddingBagCollection
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.modules.feature_processor_ import PositionWeightedModule, PositionWeightedModuleCollection
from torchrec.modules.fp_embedding_modules import FeatureProcessedEmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from tests import processes
from torchrec_ext.distributed import doctor, join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError

KINDS = ("table_wise", "row_wise", "table_row_wise", "data_parallel")
LENGTHS = torch.tensor([[3, 1, 0, 2], [1, 2, 3, 1]])
IDS = torch.arange(13) % 10


class Weighted(nn.Module):
    """Words pooled by the weights of their positions, in one of the two ways TorchRec has."""

    def __init__(self, collection: bool) -> None:
        super().__init__()
        tables = [
            EmbeddingBagConfig(
                num_embeddings=10, embedding_dim=8, name=name, feature_names=[name], pooling=PoolingType.SUM
            )
            for name in ("title", "text")
        ]
        longest = {"title": 4, "text": 4}
        self.words = FeatureProcessedEmbeddingBagCollection(
            EmbeddingBagCollection(tables, is_weighted=True, device=torch.device("meta")),
            PositionWeightedModuleCollection(longest)
            if collection
            else {name: PositionWeightedModule(length) for name, length in longest.items()},
        )

    def forward(self, words: KeyedJaggedTensor) -> tuple[torch.Tensor, torch.Tensor]:
        loss = (self.words(words).values() - 1).square().sum() * dist.get_world_size() / 4
        return loss, loss.detach()


def share(rank: int, ranks: int) -> KeyedJaggedTensor:
    """Every ``ranks``-th of the four examples."""
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), LENGTHS.flatten().cumsum(0)])
    chosen = torch.arange(8).view(2, 4)[:, rank::ranks].flatten()
    values = torch.cat([IDS[offsets[i] : offsets[i + 1]] for i in chosen])
    return KeyedJaggedTensor(["title", "text"], values, lengths=LENGTHS.flatten()[chosen])


def train(
    collection: bool, kind: str, pipelined: bool = False
) -> tuple[set[str], str, list[float], list[float]]:
    """The sharding types, the plan, the losses over the global batch, and the weights of the positions."""
    group = join_group()
    torch.manual_seed(group.rank)
    model, lines = Weighted(collection), []
    overrides = {"title": kind, "text": kind}
    dmp = shard(model, sharding=overrides, learning_rate=0.1, log=lines.append)
    assert isinstance(model.words, ShardedFeatureProcessedEmbeddingBagCollection)
    initialise_tables(model, seed=0)
    processors = dict(model.words._feature_processors.named_parameters())
    dense = {name: p for name, p in dmp.named_parameters() if kind == "data_parallel" or "processors" in name}
    optimizer = torch.optim.SGD(dense.values(), lr=0.02)
    losses = []
    pipeline = TrainPipelineSparseDist(dmp, optimizer, group.device)
    batches = iter([share(group.rank, group.world_size) for _ in range(4)])
    for _ in range(4):
        if pipelined:
            loss = pipeline.progress(batches)
        else:
            optimizer.zero_grad()
            loss, _ = dmp(next(batches))
            loss.backward()
            optimizer.step()
        whole = loss.detach() / group.world_size
        dist.all_reduce(whole)
        losses.append(whole.item())
    planned = {table.sharding_type for tables in dmp.plan.plan.values() for table in tables.values()}
    positions = [value for p in processors.values() for value in p.tolist()]
    return planned, "".join(lines), losses, positions


def train_in_each_way() -> dict[tuple[bool, str], tuple[set[str], str, list[float], list[float]]]:
    found = {(collection, kind): train(collection, kind) for collection in (False, True) for kind in KINDS}
    for collection in (False, True):
        piped = train(collection, "row_wise", pipelined=True)
        assert piped[2:] == found[collection, "row_wise"][2:]
    return found


@pytest.fixture(scope="module")
def on_two_ranks():
    return processes.run(train_in_each_way)


@pytest.mark.slow
@pytest.mark.parametrize("collection", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_it_trains_as_on_one_rank(kind, collection, on_two_ranks):
    _, _, wanted, wanted_positions = train(collection, kind)
    assert wanted[-1] < wanted[0] and wanted_positions != [1.0] * 8
    for planned, _, losses, positions in (rank[collection, kind] for rank in on_two_ranks):
        assert planned == {kind}
        assert losses == pytest.approx(wanted, rel=1e-5)
        assert positions == pytest.approx(wanted_positions, rel=1e-5)


@pytest.mark.slow
def test_the_plan_lists_its_tables(on_two_ranks):
    _, title, text = on_two_ranks[0][False, "row_wise"][1].splitlines()
    assert title.split() == ["title", "10", "8", "0.0", "MiB", "row_wise", "asked", "for"]
    assert text.split()[0] == "text"


def test_the_planner_chooses_and_wrong_overrides_are_explained():
    dmp = shard(Weighted(collection=False))
    assert set(dmp.plan.plan) == {"words"} and set(dmp.plan.plan["words"]) == {"title", "text"}
    (finding,) = doctor(dmp)
    assert str(finding) == "words: overlapped, its input comes straight from the batch"
    with pytest.raises(InputError, match="'mesh' of table 'title' is not possible in an EmbeddingBagColl"):
        shard(Weighted(collection=False), sharding={"title": "mesh"})
