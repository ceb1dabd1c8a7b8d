"""Sharders that offer every sharding type that runs on a CPU."""

from typing import Any

from torchrec.distributed.embedding import EmbeddingCollectionSharder
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder, ShardedEmbeddingBagCollection
from torchrec.distributed.fp_embeddingbag import FeatureProcessedEmbeddingBagCollectionSharder
from torchrec.distributed.types import ParameterSharding
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

from torchrec_ext.distributed.empty_shards import BY_ROWS
from torchrec_ext.distributed.find_collections import Collection
from torchrec_ext.distributed.mean_pooling import mend_mean_pooling
from torchrec_ext.distributed.one_rank import look_up_directly
from torchrec_ext.distributed.uneven_batches import refuse_uneven_batches

AUTOMATIC = ("table_wise", "row_wise")
"""The types that the planner chooses from: they reload into each other, optimizer state included."""

_OF_BAGS = (
    "table_wise", "row_wise", "column_wise",
    "table_column_wise", "table_row_wise", "grid_shard", "data_parallel",
)  # fmt: skip
_OF_SEQUENCES = ("table_wise", "row_wise", "column_wise", "data_parallel")


def offered(collection: Collection) -> tuple[str, ...]:
    """The sharding types that may be asked for."""
    return _OF_SEQUENCES if isinstance(collection, EmbeddingCollection) else _OF_BAGS


class BagSharder(EmbeddingBagCollectionSharder):
    """TorchRec's sharder, which in 1.8 offers row-wise and its kin for CUDA only, yet they run over gloo."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        """The sharding types the planner may weigh."""
        return list(_OF_BAGS)

    def shard(
        self, module: EmbeddingBagCollection, params: dict[str, ParameterSharding], *args: Any, **kwargs: Any
    ) -> ShardedEmbeddingBagCollection:
        """Shards a collection, mends its mean pooling and makes it refuse batches that gloo fails on."""
        sharded = super().shard(module, params, *args, **kwargs)
        mend_mean_pooling(sharded, module.embedding_bag_configs(), params)
        refuse_uneven_batches(sharded, [name for name, p in params.items() if p.sharding_type in BY_ROWS])
        look_up_directly(sharded)
        return sharded


class SequenceSharder(EmbeddingCollectionSharder):
    """TorchRec's sharder without data-parallel, which in 1.8 fails on a CPU (wrong split sizes).

    A collection that is to be replicated is left out of the plan instead: DistributedDataParallel
    then keeps its copies alike.
    """

    def sharding_types(self, compute_device_type: str) -> list[str]:
        """The sharding types the planner may weigh."""
        return [name for name in _OF_SEQUENCES if name != "data_parallel"]


def sharders(fused: dict[str, Any]) -> list[Any]:
    """One sharder for each kind of collection; ``fused`` are the fused optimizer's settings."""
    bags = BagSharder(fused_params=dict(fused))
    return [
        bags,
        SequenceSharder(fused_params=dict(fused)),
        FeatureProcessedEmbeddingBagCollectionSharder(ebc_sharder=bags),
    ]
