"""Rows of users and items without an event for long are taken back, for new ones."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.distributed._shard.sharded_tensor import ShardedTensor

from torchrec_ext.data.events import Events, expect_times
from torchrec_ext.data.instants import Span, comparable, span
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.data.trained_ids import TrainedIds
from torchrec_ext.errors import InputError
from torchrec_ext.schema import Entity

IdleRows: TypeAlias = Mapping[Entity, np.ndarray]
"""Of users and of items the ascending int64 rows without an event for long."""
_ENTITIES: tuple[Entity, ...] = ("user", "item")


def idle_rows(preparation: Preparation, events: Events, evict_after: Span | None) -> IdleRows:
    """Rows whose ids have no event in the last ``evict_after`` before the newest event; none for None.

    Items stay where the whole table of items is offered (``catalogue="all"``). An InputError if the events
    have no times.
    """
    if evict_after is None:
        return {}
    for feature in preparation.schema.features:
        if feature.table in _ENTITIES and feature.name != feature.table:
            raise InputError(
                f"evict_after gives rows to new {feature.table}s, but {feature.name} refers to the old ones; "
                "leave it out"
            )
    seconds = span("evict_after", evict_after)
    if not seconds > 0:
        raise InputError(f"evict_after should be more than 0 seconds, received {evict_after}")
    ticks = expect_times(events, "evict_after", "leave it out")
    recent = ticks >= comparable(int(ticks.max()) - seconds * events.ticks_per_second, ticks)
    found: dict[Entity, np.ndarray] = {}
    for entity in _ENTITIES:
        if entity in events.columns and not (entity == "item" and events.catalogue == "all"):
            vocabulary = preparation.vocabularies[entity]
            is_idle = np.ones(len(vocabulary), bool)
            is_idle[0] = False  # that of every unknown id
            is_idle[vocabulary.rows(events.distinct(entity)[events.occurring(entity, recent)])] = False
            found[entity] = np.flatnonzero(is_idle)
    return found


def without_rows(trained: TrainedIds, idle: IdleRows) -> TrainedIds:
    """The trained ids but those of idle rows, whose ids are then unknown to the model."""
    users, items = trained.users.copy(), trained.items.copy()
    for entity, known in (("user", users), ("item", items)):
        known[idle.get(entity, [])] = False  # type: ignore[call-overload]
    return TrainedIds(users, items, trained.offers_all)


def copy_rows(state: Mapping[str, Any], idle: IdleRows) -> list[tuple[Tensor, Tensor, Tensor]]:
    """This rank's part of idle rows in a model's state, to be put back after a checkpoint was loaded.

    Args:
        state: ``model`` and ``optimizer``, of a model with its first weights.
        idle: rows of the tables of users and items; their first-order weights have the same.

    Returns:
        Tensors of the state, which of their rows are idle, and the values there.
    """
    rows = {table: r for entity, r in idle.items() for table in (entity, f"{entity}_first_order")}
    found = []
    for table, tensor, first in _local_parts(state):
        mine = rows.get(table, np.zeros(0, np.int64)) - first
        places = torch.from_numpy(mine[(mine >= 0) & (mine < len(tensor))])
        if len(places):
            found.append((tensor, places, tensor[places].clone()))
    return found


def _local_parts(state: Mapping[str, Any], table: str = "") -> Iterator[tuple[str, Tensor, int]]:
    """Table, tensor and number of its first row of each local piece of a weight or of its optimizer state."""
    for name, value in state.items():
        path = name.split(".")
        own = table or (path[-2] if path[-1] == "weight" and len(path) > 1 else "")
        if isinstance(value, ShardedTensor):
            for local in value.local_shards():
                yield own, local.tensor.detach(), local.metadata.shard_offsets[0]
        elif isinstance(value, Tensor):
            if value.dim():
                yield own, value.detach(), 0
        elif isinstance(value, Mapping):
            yield from _local_parts(value, own)
