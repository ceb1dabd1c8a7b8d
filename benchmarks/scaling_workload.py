"""The training step that scaling.py times at several sizes, and what it holds in memory."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec import KeyedJaggedTensor

from torchrec_ext.batch import Batch
from torchrec_ext.distributed import quiet_libraries, shard
from torchrec_ext.embeddings import initialise_tables
from torchrec_ext.models import TwoTower, task_for
from torchrec_ext.schema import Feature, Schema, Table
from torchrec_ext.training.optimizers import make_optimizer

BATCHES = 4
"""Batches that steps go round."""


@dataclass(frozen=True)
class Sizes:
    """One size of each kind.

    Args:
        items: rows of the item table.
        width: of a row and of the encoder.
        batch: histories of a rank and step.
        history: events of each; every one is learnt.
        sampled: candidates of the softmax; None: every item.
    """

    items: int = 4000
    width: int = 64
    batch: int = 32
    history: int = 50
    sampled: int | None = None


def training_step(
    sizes: Sizes, encoder: str, device: torch.device, rank: int = 0
) -> tuple[Callable[[int], None], int]:
    """A step of a retriever: forward, backward and both optimizers; every rank must call it.

    Args:
        sizes: of the model and its batches, which are drawn evenly.
        encoder: name of the encoder.
        device: of the model.
        rank: decides the ids.

    Returns:
        The step, called with a number, and the bytes of weights and optimizer state of this rank.
    """
    schema = Schema(
        (Table("user", 2), Table("item", sizes.items + 1)),
        (Feature("user", "user", "user", "user"), Feature("item", "item", "item", "item")),
    )
    torch.manual_seed(0)
    model = TwoTower(schema, sizes.width, encoder, max_length=sizes.history)
    task = task_for(model, world_size=dist.get_world_size(), device=device.type)
    dmp = shard(task, device=device.type, batch_size=sizes.batch)
    initialise_tables(model, 0)
    optimizer = make_optimizer(dmp, 1e-3)
    dmp.train()
    generator = torch.Generator().manual_seed(rank)
    ready = [_batch(sizes, generator).to(device) for _ in range(BATCHES)]

    def step(number: int) -> None:
        with quiet_libraries():
            optimizer.zero_grad()
            loss, _ = dmp(ready[number % BATCHES])
            loss.backward()
            optimizer.step()

    step(0)  # makes the optimizers' state
    held = [*dmp.state_dict().values()]
    held += [v for state in optimizer.state_dict()["state"].values() for v in state.values()]
    return step, sum(map(_bytes, held))


def _batch(sizes: Sizes, generator: torch.Generator) -> Batch:
    def draw(count: int) -> Tensor:
        return torch.randint(1, sizes.items + 1, (count,), generator=generator)

    events = sizes.batch * sizes.history
    every = torch.arange(1, sizes.items + 1)
    candidates = every if sizes.sampled is None else draw(sizes.sampled).unique()
    bounds = torch.arange(sizes.batch + 1) * len(candidates) // sizes.batch
    lengths = torch.cat([torch.full((sizes.batch,), sizes.history), bounds.diff()])
    values = torch.cat([draw(events), candidates])
    none = torch.zeros(0, dtype=torch.int64)
    return Batch(
        fields=KeyedJaggedTensor([], none, lengths=none, stride=sizes.batch),
        sequences=KeyedJaggedTensor(["history", "candidates"], values, lengths=lengths),
        dense=torch.zeros(sizes.batch, 0),
        labels=torch.randint(len(candidates), (events,), generator=generator),
        total=torch.tensor(float(events), dtype=torch.float64),
    )


def _bytes(value: object) -> int:
    if isinstance(value, ShardedTensor):
        return sum(_bytes(piece.tensor) for piece in value.local_shards())
    return value.numel() * value.element_size() if isinstance(value, Tensor) else 0
