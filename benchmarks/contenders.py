"""The contenders of embedding_throughput.py: ways to look up and train tables, all with the same weights."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
import torch.distributed as dist
from id_batches import IdBatch
from torch import Tensor, nn
from torch.ao.quantization import PlaceholderObserver, QConfig
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
from torchrec.modules.embedding_configs import DataType
from torchrec.optim import RowWiseAdagrad
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
from torchrec.quant.embedding_modules import EmbeddingBagCollection as QuantisedCollection

from torchrec_ext.distributed.sharders import BagSharder

Name = Literal[
    "embedding_bag", "unsharded_ebc", "quantised", "table_wise", "row_wise", "column_wise", "data_parallel"
]
LEARNING_RATE = 0.01
SHARDINGS = ("table_wise", "row_wise", "column_wise", "data_parallel")
UNSHARDED = ("embedding_bag", "unsharded_ebc", "quantised")
"""Each rank has a whole copy of its own."""
KERNELS = {
    "embedding_bag": "nn.EmbeddingBag",
    "unsharded_ebc": "the unsharded collection",
    "quantised": "the quantised table-batched kernel",
    **dict.fromkeys(SHARDINGS, "the fused table-batched kernel"),
    "data_parallel": "the dense table-batched kernel",
}
STORED = {"fp32": torch.float, "fp16": torch.half, "int8": torch.qint8, "int4": torch.quint4x2}
PRECISIONS = {
    **dict.fromkeys(("embedding_bag", "unsharded_ebc", "data_parallel"), ("fp32",)),
    **dict.fromkeys(("table_wise", "row_wise", "column_wise"), ("fp32", "fp16")),
    "quantised": tuple(STORED),
}
"""The precisions of rows that a contender may have."""
ROUNDING = {"fp32": 1e-5, "fp16": 4e-3, "int8": 0.04, "int4": 0.6}
"""By how much a stored value of a standard normal table may be off."""


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
    name: str,
    weights_TRW: Tensor,
    *,
    precision: str = "fp32",
    optimizer: str = "rowwise_adagrad",
    learns: bool = True,
) -> Contender:
    """Builds a contender by name, with a copy of the weights in its tables.

    Args:
        name: one of ``UNSHARDED`` or ``SHARDINGS``; a sharded one needs the default process group and every
            rank must build it.
        weights_TRW: (T, R, W) float32 weights of T tables of R rows and width W, on the device to use.
        precision: of the stored rows, one of ``PRECISIONS[name]``.
        optimizer: ``rowwise_adagrad``, ``adagrad`` or ``sgd``.
        learns: whether ``learn`` will be called; without it there is no optimizer state.

    Returns:
        The contender.
    """
    if name == "embedding_bag":
        return _embedding_bag(weights_TRW, optimizer, learns)
    if name == "unsharded_ebc":
        return _unsharded(weights_TRW, optimizer, learns)
    if name == "quantised":
        return _quantised(weights_TRW, precision)
    return _sharded(name, weights_TRW, precision, optimizer, learns)


def copies(name: str, world_size: int) -> float:
    """Copies of the float32 tables that a rank has at most: weights, optimizer state and gradients."""
    return {"embedding_bag": 2, "unsharded_ebc": 3, "quantised": 2, "data_parallel": 4}.get(
        name, 2 / world_size
    )


def rows_by_rank(name: str, ids_TBP: Tensor, rows: int, rank: int, world_size: int) -> Tensor:
    """How many rows each rank reads for the ids of one.

    Args:
        name: of the contender.
        ids_TBP: (T, B, P) rows that ``rank`` looks up.
        rows: of a table.
        rank: whose ids these are.
        world_size: number of ranks.

    Returns:
        (world_size,) int64.

    Example:
        >>> ids_TBP = torch.tensor([[[0, 1, 5]], [[2, 1, 0]]])
        >>> [rows_by_rank(name, ids_TBP, 6, 0, 2).tolist() for name in ("row_wise", "quantised")]
        [[5, 1], [6, 0]]
    """
    owner_TBP = torch.full_like(ids_TBP, rank)
    if name == "table_wise":
        owner_TBP[:] = _owner(torch.arange(len(ids_TBP)), len(ids_TBP), world_size).view(-1, 1, 1)
    elif name == "row_wise":
        owner_TBP = ids_TBP // -(-rows // world_size)
    return torch.bincount(owner_TBP.flatten().cpu(), minlength=world_size)


def _owner(table: Any, tables: int, world_size: int) -> Any:
    # consecutive tables go to one rank: the output is grouped by rank, so columns keep their order
    return table * world_size // tables


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
    model = _whole_collection(weights_TRW)
    look_up = _keyed_lookup(model, weights_TRW.shape[0])
    return Contender(look_up, _torch_optimizer(model, optimizer, sparse=False) if learns else None)


def _quantised(weights_TRW: Tensor, precision: str) -> Contender:
    """TorchRec's collection of quantised tables, which only looks up; a scale and a bias for each row."""
    model = _whole_collection(weights_TRW)
    observe = PlaceholderObserver.with_args
    model.ebc.qconfig = QConfig(observe(dtype=torch.float), observe(dtype=STORED[precision]))
    model.ebc = QuantisedCollection.from_float(model.ebc)
    return Contender(_keyed_lookup(model, len(weights_TRW)))


def _sharded(sharding: str, weights_TRW: Tensor, precision: str, optimizer: str, learns: bool) -> Contender:
    """The collection through DistributedModelParallel; fused update, except for data_parallel (dense)."""
    tables = len(weights_TRW)
    device, world_size = weights_TRW.device, dist.get_world_size()
    model = _collection(weights_TRW, torch.device("meta"), DataType[precision.upper()])
    fused = sharding != "data_parallel"
    if fused:
        kinds = {"rowwise_adagrad": RowWiseAdagrad, "adagrad": torch.optim.Adagrad, "sgd": torch.optim.SGD}
        apply_optimizer_in_backward(kinds[optimizer], model.parameters(), {"lr": LEARNING_RATE})
    placements = {
        "table_wise": lambda table: table_wise(rank=_owner(table, tables, world_size)),
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


def _collection(weights_TRW: Tensor, device: torch.device, stored: DataType = DataType.FP32) -> _Lookup:
    tables, rows, width = weights_TRW.shape
    configs = [
        EmbeddingBagConfig(
            name=f"table_{table}",
            feature_names=[f"feature_{table}"],
            num_embeddings=rows,
            embedding_dim=width,
            data_type=stored,
        )
        for table in range(tables)
    ]
    return _Lookup(EmbeddingBagCollection(tables=configs, device=device))


@torch.no_grad()
def _whole_collection(weights_TRW: Tensor) -> _Lookup:
    model = _collection(weights_TRW, weights_TRW.device)
    for bag, table in zip(model.ebc.embedding_bags.values(), weights_TRW, strict=True):
        bag.weight.copy_(table)
    return model


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
