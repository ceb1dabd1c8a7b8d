"""The contenders of embedding_throughput.py: ways to look up and train tables, all with the same weights."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from id_batches import IdBatch
from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.sharding_plan import (
    column_wise,
    construct_module_sharding_plan,
    data_parallel,
    row_wise,
    table_wise,
)
from torchrec.distributed.types import ShardingPlan
from torchrec.optim import RowWiseAdagrad
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

from torchrec_ext.distributed.sharders import BagSharder

LEARNING_RATE = 0.01
SHARDINGS = ("table_wise", "row_wise", "column_wise", "data_parallel")


@dataclass(frozen=True)
class Contender:
    """One way to look up all tables: ``look_up`` returns (B, T * W), ``learn`` also trains on a gradient."""

    look_up: Callable[[IdBatch], Tensor]
    optimizer: torch.optim.Optimizer | None = None  # None: the backward pass updates the tables itself

    def learn(self, batch: IdBatch, gradient: Tensor) -> None:
        """Forward, backward with ``gradient`` (B, T * W), and the update of the tables."""
        if self.optimizer is not None:
            self.optimizer.zero_grad()
        self.look_up(batch).backward(gradient)
        if self.optimizer is not None:
            self.optimizer.step()


def build(
    name: str, weights_TRW: Tensor, *, optimizer: str = "rowwise_adagrad", learns: bool = True
) -> Contender:
    """Builds a contender by name, with a copy of the weights in its tables.

    Args:
        name: ``embedding_bag``, ``unsharded_ebc`` or one of ``SHARDINGS``; a sharded one needs the
            default process group and every rank must build it.
        weights_TRW: (T, R, W) float32 weights of T tables of R rows and width W, on the device to use.
        optimizer: ``rowwise_adagrad``, ``adagrad`` or ``sgd``.
        learns: whether ``learn`` will be called; without it there is no optimizer state.

    Returns:
        The contender.
    """
    if name == "embedding_bag":
        return _embedding_bag(weights_TRW, optimizer, learns)
    if name == "unsharded_ebc":
        return _unsharded(weights_TRW, optimizer, learns)
    return _sharded(name, weights_TRW, optimizer, learns)


def gather(weights_TRW: Tensor, lookups: int) -> Contender:
    """The yardstick: ``torch.index_select`` of the same rows, without pooling, into preallocated memory."""
    stacked = weights_TRW.flatten(0, 1)
    out = stacked.new_empty(lookups, stacked.shape[1])
    return Contender(lambda batch: torch.index_select(stacked, 0, batch.gather_rows, out=out))


def _embedding_bag(weights_TRW: Tensor, optimizer: str, learns: bool) -> Contender:
    """One nn.EmbeddingBag per table with sparse gradients: the fastest that torch alone offers."""
    bags = nn.ModuleList(
        nn.EmbeddingBag.from_pretrained(table.clone(), freeze=False, mode="sum", sparse=True)
        for table in weights_TRW
    )

    def look_up(batch: IdBatch) -> Tensor:
        return torch.cat([bag(ids) for bag, ids in zip(bags, batch.ids_TBP, strict=True)], dim=1)

    return Contender(look_up, _torch_optimizer(bags, optimizer, sparse=True) if learns else None)


def _unsharded(weights_TRW: Tensor, optimizer: str, learns: bool) -> Contender:
    """TorchRec's unsharded collection: dense gradients, so an update visits every row of every table."""
    model = _collection(weights_TRW, weights_TRW.device)
    with torch.no_grad():
        for bag, table in zip(model.ebc.embedding_bags.values(), weights_TRW, strict=True):
            bag.weight.copy_(table)
    look_up = _keyed_lookup(model, weights_TRW.shape[0])
    return Contender(look_up, _torch_optimizer(model, optimizer, sparse=False) if learns else None)


def _sharded(sharding: str, weights_TRW: Tensor, optimizer: str, learns: bool) -> Contender:
    """The collection through DistributedModelParallel; fused update, except for data_parallel (dense)."""
    tables = len(weights_TRW)
    device, world_size = weights_TRW.device, dist.get_world_size()
    model = _collection(weights_TRW, torch.device("meta"))
    fused = sharding != "data_parallel"
    if fused:
        kinds = {"rowwise_adagrad": RowWiseAdagrad, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
        apply_optimizer_in_backward(kinds[optimizer], model.parameters(), {"lr": LEARNING_RATE})
    # Consecutive tables go to one rank: the output is grouped by rank, so columns keep their order.
    placements = {
        "table_wise": lambda table: table_wise(rank=table * world_size // tables),
        "row_wise": lambda table: row_wise(),
        "column_wise": lambda table: column_wise(ranks=list(range(world_size))),
        "data_parallel": lambda table: data_parallel(),
    }
    sharder = BagSharder()
    plan = construct_module_sharding_plan(
        model.ebc,
        {f"table_{table}": placements[sharding](table) for table in range(tables)},
        sharder=sharder,
        local_size=int(os.environ.get("LOCAL_WORLD_SIZE", 1)),
        device_type=device.type,
    )
    parallel = DistributedModelParallel(
        model, device=device, plan=ShardingPlan({"ebc": plan}), sharders=[sharder]
    )
    _fill(parallel, weights_TRW)
    dense = _torch_optimizer(parallel, optimizer, sparse=False) if learns and not fused else None
    return Contender(_keyed_lookup(parallel, tables), dense)


class _Lookup(nn.Module):
    """The smallest model around a collection: DistributedModelParallel replaces children, not the root."""

    def __init__(self, ebc: EmbeddingBagCollection) -> None:
        super().__init__()
        self.ebc = ebc

    def forward(self, features: KeyedJaggedTensor) -> Tensor:
        return self.ebc(features).values()


def _collection(weights_TRW: Tensor, device: torch.device) -> _Lookup:
    tables, rows, width = weights_TRW.shape
    configs = [
        EmbeddingBagConfig(
            name=f"table_{table}",
            feature_names=[f"feature_{table}"],
            num_embeddings=rows,
            embedding_dim=width,
        )
        for table in range(tables)
    ]
    return _Lookup(EmbeddingBagCollection(tables=configs, device=device))


def _keyed_lookup(model: nn.Module, tables: int) -> Callable[[IdBatch], Tensor]:
    keys = [f"feature_{table}" for table in range(tables)]

    def look_up(batch: IdBatch) -> Tensor:
        # A new KeyedJaggedTensor each step, as in training: an old one caches its offsets.
        return model(KeyedJaggedTensor(keys, values=batch.ids_TBP.flatten(), lengths=batch.lengths))

    return look_up


def _torch_optimizer(model: nn.Module, name: str, *, sparse: bool) -> torch.optim.Optimizer:
    """Torch has no row-wise Adagrad, so this is Adagrad. Its fused kernels take dense gradients only."""
    kind = torch.optim.SGD if name == "sgd" else torch.optim.Adagrad
    return kind(model.parameters(), lr=LEARNING_RATE, fused=None if sparse else True)


@torch.no_grad()
def _fill(model: nn.Module, weights_TRW: Tensor) -> None:
    for key, value in model.state_dict().items():
        table = weights_TRW[int(key.split("table_")[1].split(".")[0])]
        if not isinstance(value, ShardedTensor):
            value.copy_(table)
            continue
        for shard in value.local_shards():
            (row, column), (height, width) = shard.metadata.shard_offsets, shard.metadata.shard_sizes
            shard.tensor.copy_(table[row : row + height, column : column + width])


def memory_needed(
    names: Sequence[str],
    *,
    tables: int,
    rows: int,
    width: int,
    lookups: int,
    batches: int,
    optimizer: str,
    learns: bool,
    world_size: int,
) -> int:
    """Bytes that one rank needs to hold the yardstick and all contenders side by side."""
    one_table = rows * width * 4
    whole = tables * one_table
    # Copies of the tables per contender: weights, then optimizer state and gradients if it learns.
    element_state = 0 if optimizer == "sgd" else 1
    fused_state = 1 / width if optimizer == "rowwise_adagrad" else element_state
    copies = {
        "embedding_bag": 1 + learns * element_state,
        "unsharded_ebc": 1 + learns * (1 + element_state),
        "data_parallel": 1 + learns * (2 + element_state),
    }
    total = float(whole)
    for name in names:
        if name == "table_wise":
            total += -(-tables // world_size) * one_table * (1 + fused_state)
        else:
            total += whole * copies.get(name, (1 + fused_state) / world_size)
    # The ids twice; rows gathered, and a sparse gradient with its sorted copy.
    return int(total + batches * lookups * 16 + lookups * width * 4 * (3 if learns else 1))
