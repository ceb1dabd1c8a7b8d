"""A sharding plan as a table to read."""

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torchrec.distributed.types import ShardingPlan

from torchrec_ext.distributed.plan import Collections, tables_of
from torchrec_ext.distributed.sharders import AUTOMATIC


def describe_plan(
    collections: Collections, plan: ShardingPlan, wishes: Mapping[str, str] | None = None
) -> str:
    """The plan as aligned text: table, rows, width, bytes of each rank, sharding, why.

    Args:
        collections: what ``find_collections`` found before the model was sharded.
        plan: of :func:`~torchrec_ext.distributed.make_plan`.
        wishes: what was asked for.
    """
    wishes = wishes or {}
    lines = [("table", "rows", "width", "bytes per rank", "sharding", "why")]
    for path, collection in collections.items():
        for name, config in tables_of(collection).items():
            planned = plan.plan.get(path, {}).get(name)
            lines.append((
                name,
                f"{config.num_embeddings:,}",
                str(config.embedding_dim),
                _bytes(config, planned),
                planned.sharding_type if planned else "data_parallel",
                "asked for" if name in wishes else f"the planner's cheapest of {', '.join(AUTOMATIC)}",
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _bytes(config: Any, planned: Any) -> str:
    """What each rank holds of a table of float32, once where all hold as much."""
    world_size = dist.get_world_size()
    held = [0] * world_size
    if planned is None or planned.sharding_spec is None:  # replicated
        held = [config.num_embeddings * config.embedding_dim * 4] * world_size
    else:
        for shard in planned.sharding_spec.shards:
            held[shard.placement.rank()] += shard.shard_sizes[0] * shard.shard_sizes[1] * 4
    shown = [f"{n / 2**20:,.1f} MiB" for n in held]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown[:4]) + (" ..." if world_size > 4 else "")
