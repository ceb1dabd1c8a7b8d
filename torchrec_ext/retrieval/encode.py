"""Vectors of a retriever's queries and items; each rank encodes its share."""

import numpy as np
import pandas as pd
import pyarrow as pa
import torch
import torch.distributed as dist
from torch import Tensor, nn

from torchrec_ext import contracts
from torchrec_ext.batch import Inputs
from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.data.event_log import EventLog
from torchrec_ext.data.preparation import Preparation
from torchrec_ext.distributed.process_group import world
from torchrec_ext.errors import InputError
from torchrec_ext.models.inference import on_device
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.schema import Feature


def expect_retriever(module: nn.Module, wanted_by: str) -> contracts.Retriever:
    """The module, if it makes vectors.

    Raises:
        InputError: for a ranker, which scores pairs.
    """
    if isinstance(module, contracts.Retriever):
        return module
    raise InputError(
        f"{wanted_by} needs a retriever (such as TwoTower), but the model is a {type(module).__name__}: "
        "a ranker scores pairs and has no vectors; use recommend or predict"
    )


def item_batcher(preparation: Preparation, inputs: Inputs) -> Batcher:
    """A batcher for items alone; its log has no events."""
    no_ids, no_offset = np.zeros(0, np.int32), np.zeros(1, np.int64)
    context: Context = {
        f.name: pa.LargeListArray.from_arrays(no_offset, no_ids)
        if isinstance(f, Feature) and f.many
        else no_ids
        for f in preparation.schema.of("context")
    }
    log = EventLog(pd.Index([]), no_offset[:0], no_offset, no_ids, no_ids, context=context)
    return Batcher(preparation, log, inputs)


def build_index(
    model: contracts.Retriever, batcher: Batcher, rows: np.ndarray | None = None, chunk: int = 8192
) -> ExactIndex:
    """An exact index of items; every rank must call it, and encodes and holds its slice of them.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs.
        rows: (n,) int64 item rows that may be recommended, at least one; None for the whole catalogue.
        chunk: items encoded at a time.
    """
    index = ExactIndex(model.scorer)
    index.build(*encode_slice(model, batcher, rows, chunk))
    return index


def encode_slice(
    model: contracts.Retriever, batcher: Batcher, rows: np.ndarray | None = None, chunk: int = 8192
) -> tuple[Tensor, Tensor]:
    """Vectors of this rank's slice of the items; every rank must call it with the same items.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs.
        rows: (n,) int64 item rows, at least one; None for the whole catalogue.
        chunk: items encoded at a time.

    Returns:
        (I, D) vectors and (I,) int64 rows of the slice; it may be empty where ranks outnumber items.
    """
    rank, world_size = world()
    rows = batcher.preparation.trained.catalogue if rows is None else rows
    # rounded up alike, so that every rank makes the same number of collective calls
    share = -(-len(rows) // world_size)
    mine = rows[rank * share : (rank + 1) * share]
    parts = [
        model.encode_items(on_device(batcher.items(mine[i : i + chunk]), model))
        for i in range(0, share, chunk)
    ]
    vectors = torch.cat(parts)
    return vectors, torch.from_numpy(mine).to(vectors.device)


def encode_items(model: contracts.Retriever, batcher: Batcher, rows: np.ndarray, chunk: int = 8192) -> Tensor:
    """Vectors of items; every rank must call it with the same items.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs.
        rows: (n,) int64 item rows, at least one.
        chunk: items encoded at a time.

    Returns:
        (n, D) float32 vectors, the same on every rank.
    """
    share, mine = _share(len(rows))
    parts = [
        model.encode_items(on_device(batcher.items(rows[mine[i : i + chunk]]), model)).float()
        for i in range(0, share, chunk)
    ]
    return _gathered(torch.cat(parts), len(rows))


def encode_users(
    model: contracts.Retriever,
    batcher: Batcher,
    users: np.ndarray,
    context: Context | None = None,
    ends: np.ndarray | None = None,
) -> Tensor:
    """Query vectors of users after their known events; every rank must call it with the same users.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs and the known events.
        users: (n,) int64 users of the log, at least one.
        context: (n,) rows or values of each context feature.
        ends: (n,) int64 end of each user's known events in the log; None for all events.

    Returns:
        (n, D) float32 queries, or (n, K, D) of several interests; the same on every rank.
    """
    _, mine = _share(len(users))
    own = take_context(context, mine)
    ends = batcher.known.offsets[users + 1] if ends is None else ends
    batch = batcher.queries(users[mine], ends[mine], own)
    return _gathered(model.encode_queries(on_device(batch, model)).float(), len(users))


def _share(count: int) -> tuple[int, np.ndarray]:
    """How many of so many things each rank takes, and which ones this rank does: the last one repeats."""
    rank, world_size = world()
    share = -(-count // world_size)
    return share, np.minimum(np.arange(rank * share, (rank + 1) * share), count - 1)


def _gathered(mine: Tensor, count: int) -> Tensor:
    """The vectors of all ranks, in order, without repetitions."""
    _, world_size = world()
    if world_size == 1:
        return mine
    gathered = mine.new_empty(len(mine) * world_size, *mine.shape[1:])
    dist.all_gather_into_tensor(gathered, mine.contiguous())
    return gathered[:count]
