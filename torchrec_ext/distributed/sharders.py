"""Sharders that offer on a CPU what runs on a CPU."""

from typing import Any

from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embedding_types import ShardingType
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder

AUTOMATIC = ("table_wise", "row_wise")
"""What the planner chooses among: these reload into each other, optimizer state included."""

OFFERED: dict[str, tuple[str, ...]] = {
    "EmbeddingBagCollection": (
        "table_wise", "row_wise", "column_wise", "table_column_wise", "table_row_wise", "grid_shard", "data_parallel",
    ),
    "EmbeddingCollection": ("table_wise", "row_wise", "column_wise", "data_parallel"),
}  # fmt: skip
"""What may be asked for, by kind of collection."""


class BagSharder(EmbeddingBagCollectionSharder):
    """TorchRec's sharder, which in 1.8 offers row-wise and its kin for CUDA only, though they run over gloo."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        """The sharding types the planner may weigh."""
        return [ShardingType(name).value for name in OFFERED["EmbeddingBagCollection"]]


class SequenceSharder(EmbeddingCollectionSharder):
    """TorchRec's sharder without data-parallel, which in 1.8 fails on a CPU (wrong split sizes).

    A collection that is to be replicated is left out of the plan instead: DistributedDataParallel
    then keeps its copies alike.
    """

    def sharding_types(self, compute_device_type: str) -> list[str]:
        """The sharding types the planner may weigh."""
        return [
            ShardingType(name).value for name in OFFERED["EmbeddingCollection"] if name != "data_parallel"
        ]


def sharders(fused: dict[str, Any]) -> list[Any]:
    """One sharder for each kind of collection; ``fused`` are the fused optimizer's settings."""
    return [BagSharder(fused_params=dict(fused)), SequenceSharder(fused_params=dict(fused))]
