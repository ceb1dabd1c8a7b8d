"""Vectors of a retriever's queries and items, each rank encoding its share."""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher, Context
from torchrec_ext.distributed import world
from torchrec_ext.models.inference import on_device
from torchrec_ext.retrieval.exact_index import ExactIndex


def build_index(
    model: contracts.Retriever, batcher: Batcher, rows: np.ndarray | None = None, chunk: int = 8192
) -> ExactIndex:
    """Encodes this rank's slice of the items and indexes it; every rank must call it.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs.
        rows: (n,) int64 item rows that may be recommended, at least one; None for the whole catalogue.
        chunk: items encoded at a time.
    """
    rank, world_size = world()
    if rows is None:
        rows = batcher.preparation.trained.catalogue
    # rounded up alike, so that every rank makes the same number of collective calls
    share = -(-len(rows) // world_size)
    mine = rows[rank * share : (rank + 1) * share]
    parts = [
        model.encode_items(on_device(batcher.items(mine[i : i + chunk]), model))
        for i in range(0, share, chunk)
    ]
    index = ExactIndex(model.scorer)
    vectors = torch.cat(parts)
    index.build(vectors, torch.from_numpy(mine).to(vectors.device))
    return index


def encode_users(
    model: contracts.Retriever, batcher: Batcher, users: np.ndarray, context: Context | None = None
) -> Tensor:
    """Query vectors of users after all their known events, each rank encoding its share.

    Every rank must call it with the same users.

    Args:
        model: a sharded retriever.
        batcher: of the model's inputs and the known events.
        users: (n,) int64 users of the log, at least one.
        context: (n,) rows or values of each context feature.

    Returns:
        (n, D) float32 queries, or (n, K, D) of several interests; the same on every rank.
    """
    rank, world_size = world()
    share = -(-len(users) // world_size)
    mine = np.minimum(np.arange(rank * share, (rank + 1) * share), len(users) - 1)  # the last user repeats
    own = {name: values[mine] for name, values in (context or {}).items()}
    batch = batcher.queries(users[mine], batcher.known.offsets[users[mine] + 1], own)
    queries = model.encode_queries(on_device(batch, model)).float()
    if world_size == 1:
        return queries
    gathered = queries.new_empty(share * world_size, *queries.shape[1:])
    dist.all_gather_into_tensor(gathered, queries.contiguous())
    return gathered[: len(users)]
