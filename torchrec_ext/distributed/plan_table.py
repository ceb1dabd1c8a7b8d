"""describe_plan(): a sharding plan as a text table."""

from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torchrec.distributed.types import ShardingPlan

from torchrec_ext.distributed.empty_shards import empty_shards
from torchrec_ext.distributed.find_collections import Collections, tables_of
from torchrec_ext.distributed.process_group import local_world_size
from torchrec_ext.distributed.sharders import AUTOMATIC


def describe_plan(
    collections: Collections, plan: ShardingPlan, sharding_overrides: Mapping[str, str] | None = None
) -> str:
    """Formats the plan as aligned text: table, rows, width, bytes of each rank, sharding, why.

    Args:
        collections: what ``find_collections`` found before the model was sharded.
        plan: of :func:`~torchrec_ext.distributed.make_plan`.
        sharding_overrides: what was asked for.
    """
    overrides = sharding_overrides or {}
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
                _reason(config.num_embeddings, overrides.get(name)),
            ))  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _reason(rows: int, override: str | None) -> str:
    """Why a table has the sharding it has."""
    kind = override or "row_wise"
    if empty := empty_shards(rows, kind):
        asked = "was asked for, but it " if override else ""
        ranks = dist.get_world_size() if kind == "row_wise" else local_world_size()
        return f"{kind} {asked}would leave {empty} of {ranks} ranks without rows"
    if override:
        return "asked for"
    whole = dist.get_world_size() == 1
    return "one process holds whole tables" if whole else f"the planner's cheapest of {', '.join(AUTOMATIC)}"


def _bytes(config: Any, planned: Any) -> str:
    """Memory of a float32 table on each rank; one figure if all hold as much."""
    world_size = dist.get_world_size()
    held = [0] * world_size
    if planned is None or planned.sharding_spec is None:  # replicated
        held = [config.num_embeddings * config.embedding_dim * 4] * world_size
    else:
        for shard in planned.sharding_spec.shards:
            held[shard.placement.rank()] += shard.shard_sizes[0] * shard.shard_sizes[1] * 4
    shown = [f"{n / 2**20:,.1f} MiB" for n in held]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown[:4]) + (" ..." if world_size > 4 else "")
