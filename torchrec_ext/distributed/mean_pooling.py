"""mend_mean_pooling(): means of bags in a collection whose tables are sharded in several ways."""

from collections.abc import Mapping

from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.types import ParameterSharding
from torchrec.modules.embedding_configs import EmbeddingBagConfig, PoolingType

from torchrec_ext.distributed.empty_shards import BY_ROWS
from torchrec_ext.errors import InputError


def mend_mean_pooling(
    sharded: ShardedEmbeddingBagCollection,
    configs: list[EmbeddingBagConfig],
    params: Mapping[str, ParameterSharding],
) -> None:
    """Divides by the length of the bag where a table is split by rows and pools by the mean, nowhere else.

    The kernels of a table that is split by rows sum, and TorchRec divides the sum over the ranks. Where a
    collection has such a table, torchrec 1.8 divides the vectors of its other tables too, so that a
    table-wise mean is divided twice; and it never divides those of a grid-sharded table. It divides
    whatever is not listed as a row-wise sum: this completes the list.

    Args:
        sharded: the collection.
        configs: of its tables.
        params: how each table is sharded.

    Raises:
        InputError: if a feature is looked up in a table to divide and in another one, which TorchRec's
            list cannot tell apart.
    """
    mean, sums = set[str](), set[str]()
    for config in configs:
        by_rows = params[config.name].sharding_type in BY_ROWS
        (mean if by_rows and config.pooling is PoolingType.MEAN else sums).update(config.feature_names)
    if not mean:
        return
    if both := mean & sums:
        raise InputError(
            f"feature {min(both)!r} is looked up in a table that is split by rows and pools by the mean, and "
            "in another table, which TorchRec mixes up in one EmbeddingBagCollection; shard both table_wise, "
            "or put them into two collections"
        )
    sharded._pooling_type_to_rs_features[PoolingType.SUM.value] = sorted(sums)
    sharded._has_mean_pooling_callback = True
