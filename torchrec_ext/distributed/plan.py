"""Where the rows of each table go: TorchRec's planner and the user's wishes."""

import os
from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.types import ShardingPlan
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

from torchrec_ext.distributed.sharders import AUTOMATIC, offered
from torchrec_ext.errors import InputError

Collection: TypeAlias = EmbeddingBagCollection | EmbeddingCollection
Collections: TypeAlias = dict[str, Collection]
"""The collections of a model by path."""


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
        InputError: for a wish that names no table or cannot be had, with the choices; on every rank.
    """
    wishes = dict(wishes or {})
    collections = find_collections(model)
    _check_wishes(collections, wishes)
    constraints = {
        table: _constraint(wishes.get(table), config.embedding_dim)
        for collection in collections.values()
        for table, config in tables_of(collection).items()
        if not _replicated(collection, wishes)
    }
    planner = EmbeddingShardingPlanner(
        topology=_topology(device), batch_size=batch_size, constraints=constraints, debug=False, stats=[]
    )
    # not by collective_plan, which leaves the others waiting where rank 0 finds no plan
    found: list[Any] = [None]
    if dist.get_rank() == 0:
        try:
            found = [planner.plan(model, sharders)]
        except PlannerError as error:
            found = [str(error)]
    dist.broadcast_object_list(found, src=0)
    plan = found[0]
    if isinstance(plan, str):
        raise InputError(_infeasible(collections, wishes, plan))
    for path, collection in collections.items():
        if _replicated(collection, wishes):
            plan.plan.pop(path, None)
    return plan


def find_collections(model: nn.Module) -> Collections:
    """The collections of a model that is not sharded."""
    kinds = (EmbeddingBagCollection, EmbeddingCollection)
    return {path: module for path, module in model.named_modules() if isinstance(module, kinds)}


def tables_of(collection: Collection) -> dict[str, Any]:
    """Table name to its configuration."""
    if isinstance(collection, EmbeddingBagCollection):
        return {c.name: c for c in collection.embedding_bag_configs()}
    return {c.name: c for c in collection.embedding_configs()}


def _constraint(wish: str | None, width: int) -> ParameterConstraints:
    """What the planner may do with a table."""
    if wish != "column_wise":
        return ParameterConstraints(sharding_types=[wish] if wish else list(AUTOMATIC))
    # else the planner splits no width below 256
    least = -(-width // dist.get_world_size())
    return ParameterConstraints(sharding_types=[wish], min_partition=least)


def _replicated(collection: Collection, wishes: Mapping[str, str]) -> bool:
    """Whether a collection is left out of the plan, so that each rank keeps a copy of it."""
    return isinstance(collection, EmbeddingCollection) and any(
        wishes.get(table) == "data_parallel" for table in tables_of(collection)
    )


def _check_wishes(collections: Collections, wishes: Mapping[str, str]) -> None:
    known = {table: c for c in collections.values() for table in tables_of(c)}
    for table, wish in wishes.items():
        if table not in known:
            raise InputError(
                f"sharding asks for table {table!r}, which the model does not have; "
                f"it has {', '.join(known) or 'none'}"
            )
        choices = offered(known[table])
        if wish not in choices:
            bags = "Bag" if isinstance(known[table], EmbeddingBagCollection) else ""
            raise InputError(
                f"sharding {wish!r} of table {table!r} is not possible in an Embedding{bags}Collection; "
                f"choose one of {', '.join(choices)}"
            )
    for collection in collections.values():
        sharded = [t for t in tables_of(collection) if wishes.get(t) != "data_parallel"]
        if sharded and _replicated(collection, wishes):
            copies = [t for t in tables_of(collection) if t not in sharded]
            raise InputError(
                f"sharding data_parallel of {', '.join(copies)} replicates a whole EmbeddingCollection, but "
                f"{', '.join(sharded)} of the same one would be sharded; "
                f"add {' '.join(f'{t}=data_parallel' for t in sharded)}, or shard all of them"
            )


def _topology(device: str) -> Topology:
    """The ranks and the memory each of them has, of which the planner's own idea is 32 or 128 GiB."""
    world_size = dist.get_world_size()
    local = int(os.environ.get("LOCAL_WORLD_SIZE", world_size))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // local
    gpu = {"hbm_cap": torch.cuda.get_device_properties(0).total_memory} if device == "cuda" else {}
    return Topology(
        world_size=world_size, local_world_size=local, compute_device=device, ddr_cap=memory, **gpu
    )


def _infeasible(collections: Collections, wishes: Mapping[str, str], reason: str) -> str:
    sizes = {
        table: config.num_embeddings * config.embedding_dim * 4
        for collection in collections.values()
        for table, config in tables_of(collection).items()
    }
    largest = max(sizes, key=lambda table: sizes[table])
    asked = " ".join(f"{t}={w}" for t, w in wishes.items()) or "nothing asked for"
    told = " ".join(line.strip() for line in reason.strip().splitlines()[:1])
    return (
        f"no sharding plan for {dist.get_world_size()} rank(s) with {asked}: {told}; the largest table is "
        f"{largest!r} ({sizes[largest] / 2**30:,.2f} GiB); shard it row_wise, add ranks or lower dim"
    )
