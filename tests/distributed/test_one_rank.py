"""One process looks its tables up without an exchange, and finds the same bits as with TorchRec's."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from torchrec_ext.distributed import join_group, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.errors import InputError

NAMES = ["user", "item", "word"]


class Model(nn.Module):
    def __init__(self, widths: tuple[int, ...], pooling: PoolingType) -> None:
        super().__init__()
        tables = [
            EmbeddingBagConfig(20, width, name, feature_names=[name], pooling=pooling)
            for name, width in zip(NAMES, widths, strict=True)
        ]
        self.bags = EmbeddingBagCollection(tables, device=torch.device("meta"))
        self.layer = nn.Linear(1, 1)

    def forward(self, ids: KeyedJaggedTensor) -> tuple[Tensor, dict[str, Tensor]]:
        found = self.bags(ids)
        vectors = {name: found[name] for name in NAMES}
        loss = sum(vector.square().mean() for vector in vectors.values()) + self.layer.weight.sum() * 0
        return loss, {name: vector.detach() for name, vector in vectors.items()}


def batches() -> list[KeyedJaggedTensor]:
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(4):
        lengths = torch.randint(0, 4, (len(NAMES) * 8,), generator=generator)
        ids = torch.randint(20, (int(lengths.sum()),), generator=generator)
        made.append(KeyedJaggedTensor(["word", "user", "item"], ids, lengths=lengths))  # another order
    return made


def trained(widths: tuple[int, ...], pooling: PoolingType, how: str) -> tuple[list[dict[str, Tensor]], dict]:
    """What each step looks up, and the tables at the end."""
    join_group()
    model = Model(widths, pooling)
    dmp = shard(model, sharding=dict.fromkeys(NAMES, "row_wise") if how == "row_wise" else None)
    initialise_tables(model, seed=0)
    assert ("forward" in vars(model.bags)) == (how != "row_wise")
    if how == "exchanged":
        del model.bags.forward  # TorchRec's own again
    if how == "pipelined":
        feed = iter(batches())
        pipeline = TrainPipelineSparseDist(dmp, torch.optim.SGD([torch.zeros(1)]), torch.device("cpu"))
        found = [pipeline.progress(feed) for _ in batches()]
        pipeline.detach()
        assert "forward" in vars(model.bags)
    else:
        found = []
        for batch in batches():
            loss, vectors = dmp(batch)
            loss.backward()
            found.append(vectors)
    with torch.no_grad():
        found.append(dmp(batches()[0])[1])
    tables = {key: value.local_shards()[0].tensor.clone() for key, value in model.bags.state_dict().items()}
    return found, tables


@pytest.mark.parametrize("widths", [(8, 8, 8), (8, 16, 8)], ids=["one width", "two widths"])
@pytest.mark.parametrize("pooling", [PoolingType.SUM, PoolingType.MEAN], ids=["sum", "mean"])
def test_direct_lookups_are_those_of_the_exchange(widths: tuple[int, ...], pooling: PoolingType) -> None:
    expected, tables = trained(widths, pooling, "exchanged")
    for how in ("direct", "pipelined"):
        found, learnt = trained(widths, pooling, how)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
        torch.testing.assert_close(learnt, tables, rtol=0, atol=0)
    found, learnt = trained(widths, pooling, "row_wise")  # divides by the length in another place
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(learnt, tables)


def test_one_process_has_no_replicas_and_whole_tables() -> None:
    join_group()
    dmp = shard(Model((8, 8, 8), PoolingType.MEAN))
    assert not any(isinstance(module, DistributedDataParallel) for module in dmp.modules())
    assert {p.sharding_type for p in dmp.plan.plan["bags"].values()} == {"table_wise"}


@pytest.mark.parametrize("wrong", [-1, 20])
def test_an_id_outside_of_its_table_is_an_error(wrong: int) -> None:
    join_group()
    dmp = shard(Model((8, 8, 8), PoolingType.SUM))
    ids = KeyedJaggedTensor(NAMES, torch.tensor([0, 19, wrong]), lengths=torch.ones(3, dtype=torch.int64))
    with pytest.raises(RuntimeError, match=f"out of bounds: {wrong}, range 0 to 20"):
        dmp(ids)


def test_lengths_and_ids_must_agree() -> None:
    join_group()
    dmp = shard(Model((8, 8, 8), PoolingType.SUM))
    lengths = torch.ones(3, dtype=torch.int64)
    dmp(KeyedJaggedTensor(NAMES, torch.zeros(3, dtype=torch.int64), lengths=lengths))
    with pytest.raises(
        InputError, match=r"^the lengths of features user, item, word sum to 3, but there are 2"
    ):
        dmp(KeyedJaggedTensor(NAMES, torch.zeros(2, dtype=torch.int64), lengths=lengths))


def test_no_length_is_negative() -> None:
    """The kernels would read past the end of the ids, in the first call as well."""
    join_group()
    dmp = shard(Model((8, 8, 8), PoolingType.SUM))
    lengths = torch.tensor([3, -1, 1, 1, 1, 1])
    with pytest.raises(InputError, match=r"^the lengths of features user, item, word include -1"):
        dmp(KeyedJaggedTensor(NAMES, torch.zeros(6, dtype=torch.int64), lengths=lengths))
