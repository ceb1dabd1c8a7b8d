"""make_plan(): the sharding of each table, by TorchRec's planner and the user's overrides."""

import os
from collections.abc import Mapping
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.types import PlannerError
from torchrec.distributed.types import ShardingPlan
from torchrec.modules.embedding_modules import EmbeddingCollection

from torchrec_ext.compatibility import KERNEL_MULTIPLE
from torchrec_ext.distributed.empty_shards import empty_shards
from torchrec_ext.distributed.find_collections import Collection, Collections, find_collections, tables_of
from torchrec_ext.distributed.process_group import local_world_size
from torchrec_ext.distributed.sharders import AUTOMATIC, offered
from torchrec_ext.errors import InputError


def make_plan(
    model: nn.Module,
    sharders: list[Any],
    device: str,
    sharding_overrides: Mapping[str, str] | None = None,
    batch_size: int = 512,
) -> ShardingPlan:
    """Plans the sharding of every collection in a model; every rank must call it.

    A table of which a rank would get no rows is table-wise, whatever is asked for.

    Args:
        model: not sharded yet.
        sharders: see :func:`~torchrec_ext.distributed.sharders.sharders`.
        device: ``cpu`` or ``cuda``.
        sharding_overrides: table -> sharding type; the planner chooses for the other tables.
        batch_size: examples a rank and step, which the planner's estimates need.

    Raises:
        InputError: for an override that names no table or a sharding type that its collection does not
            have, with the choices, or for a table whose width the kernels refuse; on every rank.
    """
    overrides = dict(sharding_overrides or {})
    collections = find_collections(model)
    _check_overrides(collections, overrides)
    _check_widths(collections, overrides)
    constraints = {
        table: _constraint(config, overrides.get(table))
        for collection in collections.values()
        for table, config in tables_of(collection).items()
        if not _replicated(collection, overrides)
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
        raise InputError(_infeasible(collections, overrides, plan))
    for path, collection in collections.items():
        if _replicated(collection, overrides):
            plan.plan.pop(path, None)
    return plan


def _constraint(config: Any, override: str | None) -> ParameterConstraints:
    """What the planner may do with a table."""
    # one process holds whole tables, which table-wise ones skip the exchange for
    automatic = AUTOMATIC if dist.get_world_size() > 1 else AUTOMATIC[:1]
    wanted = [override] if override else automatic
    possible = [kind for kind in wanted if not empty_shards(config.num_embeddings, kind)] or ["table_wise"]
    if possible != ["column_wise"]:
        return ParameterConstraints(sharding_types=possible)
    # else the planner splits no width below 256
    least = -(-config.embedding_dim // dist.get_world_size())
    return ParameterConstraints(sharding_types=possible, min_partition=least)


def _replicated(collection: Collection, overrides: Mapping[str, str]) -> bool:
    """Whether a collection is left out of the plan, so that each rank keeps a copy of it."""
    return isinstance(collection, EmbeddingCollection) and any(
        overrides.get(table) == "data_parallel" for table in tables_of(collection)
    )


def _check_overrides(collections: Collections, overrides: Mapping[str, str]) -> None:
    known = {table: c for c in collections.values() for table in tables_of(c)}
    for table, override in overrides.items():
        if table not in known:
            raise InputError(
                f"sharding asks for table {table!r}, which the model does not have; "
                f"it has {', '.join(known) or 'none'}"
            )
        choices = offered(known[table])
        if override not in choices:
            bags = "" if isinstance(known[table], EmbeddingCollection) else "Bag"
            raise InputError(
                f"sharding {override!r} of table {table!r} is not possible in an Embedding{bags}Collection; "
                f"choose one of {', '.join(choices)}"
            )
    for collection in collections.values():
        sharded = [t for t in tables_of(collection) if overrides.get(t) != "data_parallel"]
        if sharded and _replicated(collection, overrides):
            copies = [t for t in tables_of(collection) if t not in sharded]
            raise InputError(
                f"sharding data_parallel of {', '.join(copies)} replicates a whole EmbeddingCollection, but "
                f"{', '.join(sharded)} of the same one would be sharded; "
                f"add {' '.join(f'{t}=data_parallel' for t in sharded)}, or shard all of them"
            )


def _check_widths(collections: Collections, overrides: Mapping[str, str]) -> None:
    """Refuses a width that fbgemm would refuse later; TorchRec cuts columns into multiples of 4 itself."""
    for collection in collections.values():
        for table, config in tables_of(collection).items():
            width = config.embedding_dim
            if width % KERNEL_MULTIPLE and overrides.get(table) != "data_parallel":
                raise InputError(
                    f"table {table!r} has embedding_dim={width}, but the kernels of sharded tables need a "
                    f"multiple of {KERNEL_MULTIPLE}; use {-(-width // KERNEL_MULTIPLE) * KERNEL_MULTIPLE}, "
                    f"or replicate the table with sharding {table}=data_parallel"
                )


def _topology(device: str) -> Topology:
    """The ranks and their memory, for which the planner would assume 32 or 128 GiB."""
    world_size, local = dist.get_world_size(), local_world_size()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // local
    gpu = {"hbm_cap": torch.cuda.get_device_properties(0).total_memory} if device == "cuda" else {}
    return Topology(
        world_size=world_size, local_world_size=local, compute_device=device, ddr_cap=memory, **gpu
    )


def _infeasible(collections: Collections, overrides: Mapping[str, str], reason: str) -> str:
    sizes = {
        table: config.num_embeddings * config.embedding_dim * 4
        for collection in collections.values()
        for table, config in tables_of(collection).items()
    }
    largest = max(sizes, key=lambda table: sizes[table])
    asked = " ".join(f"{table}={kind}" for table, kind in overrides.items()) or "no overrides"
    first_line = reason.strip().splitlines()[0].strip()
    return (
        f"no sharding plan for {dist.get_world_size()} rank(s) with {asked}: {first_line}; the largest table "
        f"is {largest!r} ({sizes[largest] / 2**30:,.2f} GiB); shard it row_wise, add ranks or lower dim"
    )
