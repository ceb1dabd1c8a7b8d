"""Scores of given pairs of user and item, each rank scoring its share."""

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from tqdm import tqdm

from torchrec_ext import contracts
from torchrec_ext.data.batching.batches import Batcher, Context, take_context
from torchrec_ext.distributed.process_group import world
from torchrec_ext.models.inference import on_device


def score_pairs(
    model: nn.Module,
    batcher: Batcher,
    users: np.ndarray,
    ends: np.ndarray,
    items: np.ndarray,
    context: Context | None = None,
    *,
    every_task: bool = False,
    chunk: int = 16384,
    progress: bool = False,
) -> Tensor:
    """Scores n pairs; every rank must call it with the same pairs.

    Args:
        model: a sharded ranker, or a retriever whose scorer then scores the two vectors.
        batcher: of the model's inputs and the known events.
        users: (n,) int64 users of the log.
        ends: (n,) int64 end of each user's known events.
        items: (n,) int64 item rows.
        context: (n,) context features of the pairs.
        every_task: returns (n, tasks) of a ranker, not its first task alone.
        chunk: pairs a step, over all ranks.
        progress: shows a bar on rank 0.

    Returns:
        (n,) float32: the probability of a ranker's first task, or a retriever's score; the same on
        every rank.
    """
    rank, world_size = world()
    scores = []
    steps = tqdm(
        range(0, len(users), chunk),
        "scoring",
        unit="step",
        disable=None if progress and rank == 0 else True,
        leave=False,
    )
    for start in steps:
        stop = min(start + chunk, len(users))
        share = -(-(stop - start) // world_size)
        mine = np.minimum(start + np.arange(rank * share, (rank + 1) * share), stop - 1)
        part = _scores(model, batcher, users[mine], ends[mine], items[mine], take_context(context, mine))
        if part.dim() == 2 and not every_task:
            part = part[:, 0]
        if world_size > 1:
            gathered = part.new_empty(share * world_size, *part.shape[1:])
            dist.all_gather_into_tensor(gathered, part.contiguous())
            part = gathered[: stop - start]
        scores.append(part.cpu())
    return torch.cat(scores) if scores else torch.zeros(0)


def _scores(
    model: nn.Module,
    batcher: Batcher,
    users: np.ndarray,
    ends: np.ndarray,
    items: np.ndarray,
    context: Context,
) -> Tensor:
    if isinstance(model, contracts.Ranker):
        logits = model(on_device(batcher.pairs(users, ends, items, context), model))
        return logits.float().sigmoid()
    assert isinstance(model, contracts.Retriever)
    queries = model.encode_queries(on_device(batcher.queries(users, ends, context), model))
    items_B1D = model.encode_items(on_device(batcher.items(items), model))[:, None]
    interests = queries.unbind(1) if queries.dim() == 3 else [queries]
    return torch.cat([model.scorer(interest_BD, items_B1D) for interest_BD in interests], 1).amax(1).float()
