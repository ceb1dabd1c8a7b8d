"""empty_shards(): how many ranks a sharding type leaves without a row of a table."""

import torch.distributed as dist

from torchrec_ext.distributed.process_group import local_world_size

BY_ROWS = ("row_wise", "table_row_wise", "grid_shard")
"""The sharding types that split the rows of a table."""


def empty_shards(rows: int, sharding_type: str) -> int:
    """Counts the ranks that would hold no row of a table.

    TorchRec deals out ``ceil(rows / ranks)`` rows a rank until none are left: 5 rows on 4 ranks are 2, 2,
    1 and 0. The CPU kernels of fbgemm 1.8 fail on a rank without rows ("weights[0] must be a GPU or MTIA
    tensor"), so that such a table has to stay whole.

    Args:
        rows: of the table.
        sharding_type: row-wise splits over all ranks, its kin over those of one machine; the others
            split no rows.

    Returns:
        0 where every rank that takes part holds a row.

    Example:
        >>> from torchrec_ext.distributed import join_group
        >>> group = join_group()  # a group of one rank, which holds every row
        >>> empty_shards(5, "row_wise")
        0
    """
    if sharding_type not in BY_ROWS:
        return 0
    ranks = dist.get_world_size() if sharding_type == "row_wise" else local_world_size()
    rows_per_rank = -(-rows // ranks)
    return ranks - -(-rows // rows_per_rank)
