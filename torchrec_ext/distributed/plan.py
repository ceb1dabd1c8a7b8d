"""Where the rows of each table go: TorchRec's planner, wishes, and the plan as a table to read."""

import os
from collections.abc import Mapping
from typing import Any

import torch.distributed as dist
from torch import nn
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.types import ShardingPlan
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

from torchrec_ext.distributed.sharders import AUTOMATIC, OFFERED
from torchrec_ext.errors import InputError

Collections = dict[str, EmbeddingBagCollection | EmbeddingCollection]


def make_plan(
    model: nn.Module,
    sharders: list[Any],
    device: str,
    wishes: Mapping[str, str] | None = None,
    batch_size: int = 512,
) -> ShardingPlan:
    """Plans the sharding of every collection in a model; every rank must call it.

    Args:
        model: not sharded yet.
        sharders: ours.
        device: ``cpu`` or ``cuda``.
        wishes: table -> sharding type that is asked for; the planner chooses for the others.
        batch_size: examples a rank and step, which the planner's estimates need.

    Raises:
        InputError: for a wish that names no table or cannot be had, with the choices.
    """
    wishes = dict(wishes or {})
    collections = find_collections(model)
    _check_wishes(collections, wishes)
    world_size = dist.get_world_size()
    constraints = {
        table: ParameterConstraints(sharding_types=[wishes[table]] if table in wishes else list(AUTOMATIC))
        for collection in collections.values()
        for table in tables_of(collection)
        if wishes.get(table) != "data_parallel" or isinstance(collection, EmbeddingBagCollection)
    }
    topology = Topology(
        world_size=world_size, compute_device=device, local_world_size=_local_size(world_size)
    )
    planner = EmbeddingShardingPlanner(
        topology=topology, batch_size=batch_size, constraints=constraints, debug=False, stats=[]
    )
    try:
        plan = planner.collective_plan(model, sharders, dist.GroupMember.WORLD)
    except PlannerError as error:
        raise InputError(_infeasible(collections, wishes, world_size, error)) from error
    for path, collection in collections.items():
        if _replicated(collection, wishes):
            plan.plan.pop(path, None)
    return plan


def find_collections(model: nn.Module) -> Collections:
    """The collections of a model that is not sharded, by path."""
    kinds = (EmbeddingBagCollection, EmbeddingCollection)
    return {path: module for path, module in model.named_modules() if isinstance(module, kinds)}


def tables_of(collection: EmbeddingBagCollection | EmbeddingCollection) -> dict[str, Any]:
    """Table name to its configuration."""
    if isinstance(collection, EmbeddingBagCollection):
        return {c.name: c for c in collection.embedding_bag_configs()}
    return {c.name: c for c in collection.embedding_configs()}


def describe_plan(
    collections: Collections, plan: ShardingPlan, wishes: Mapping[str, str] | None = None
) -> str:
    """The plan as aligned text: table, rows, width, bytes of each rank, sharding, why.

    Args:
        collections: what :func:`find_collections` found before the model was sharded.
        plan: of :func:`make_plan`.
        wishes: what was asked for.
    """
    wishes = wishes or {}
    rows = [("table", "rows", "width", "bytes per rank", "sharding", "why")]
    for path, collection in collections.items():
        for name, config in tables_of(collection).items():
            planned = plan.plan.get(path, {}).get(name)  # type: ignore[union-attr,attr-defined]
            kind = planned.sharding_type if planned else "data_parallel"
            why = "asked for" if name in wishes else f"the planner's cheapest of {', '.join(AUTOMATIC)}"
            held = _bytes(config, planned)
            rows.append((name, f"{config.num_embeddings:,}", str(config.embedding_dim), held, kind, why))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _bytes(config: Any, planned: Any) -> str:
    world_size = dist.get_world_size()
    held = [0] * world_size
    if planned is None or planned.sharding_spec is None:
        held = [config.num_embeddings * config.embedding_dim * 4] * world_size
    else:
        for shard in planned.sharding_spec.shards:
            held[shard.placement.rank()] += shard.shard_sizes[0] * shard.shard_sizes[1] * 4
    shown = [f"{n / 2**20:,.1f} MiB" for n in held]
    return shown[0] if len(set(shown)) == 1 else " ".join(shown[:4]) + (" ..." if world_size > 4 else "")


def _replicated(collection: Any, wishes: Mapping[str, str]) -> bool:
    return isinstance(collection, EmbeddingCollection) and any(
        wishes.get(table) == "data_parallel" for table in tables_of(collection)
    )


def _check_wishes(collections: Collections, wishes: Mapping[str, str]) -> None:
    known = {table: c for c in collections.values() for table in tables_of(c)}
    for table, wish in wishes.items():
        if table not in known:
            raise InputError(
                f"sharding asks for table {table!r}, which the model does not have; it has {', '.join(known)}"
            )
        offered = OFFERED[type(known[table]).__name__]
        if wish not in offered:
            raise InputError(
                f"sharding {wish!r} of table {table!r} is not possible in an {type(known[table]).__name__}; "
                f"choose one of {', '.join(offered)}"
            )
    for collection in collections.values():
        if _replicated(collection, wishes):
            sharded = [t for t in tables_of(collection) if wishes.get(t) != "data_parallel"]
            if sharded:
                raise InputError(
                    f"sharding data_parallel replicates a whole EmbeddingCollection, but {', '.join(sharded)} "
                    f"of the same one would be sharded; add {' '.join(f'{t}=data_parallel' for t in sharded)}, "
                    "or shard all of them"
                )


def _infeasible(
    collections: Collections, wishes: Mapping[str, str], world_size: int, error: Exception
) -> str:
    sizes = {
        t: c.num_embeddings * c.embedding_dim * 4
        for m in collections.values()
        for t, c in tables_of(m).items()
    }
    largest = max(sizes, key=lambda table: sizes[table])
    asked = ", ".join(f"{t}={w}" for t, w in wishes.items()) or "nothing asked for"
    reason = str(error).strip().splitlines()[0]
    return (
        f"no sharding plan for {world_size} rank(s) with {asked}: {reason}; the largest table is {largest!r} "
        f"({sizes[largest] / 2**30:,.2f} GiB): shard it row_wise, take more ranks, or a smaller dim"
    )


def _local_size(world_size: int) -> int:
    return int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
