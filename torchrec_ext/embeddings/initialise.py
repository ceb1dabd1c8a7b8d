"""The first weights of the tables: the same whatever the sharding and the number of processes."""

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

_BLOCK = 4096
"""Rows drawn from one seed: a rank draws the blocks that its shards touch, no others."""

_COLLECTIONS = (
    ShardedEmbeddingBagCollection,
    ShardedEmbeddingCollection,
    EmbeddingBagCollection,
    EmbeddingCollection,
)


@torch.no_grad()
def initialise_tables(model: nn.Module, dim: int, seed: int) -> None:
    """Draws every table of a sharded model from a normal distribution of variance 1 / dim.

    TorchRec draws each shard from the rank's own generator, so that the first weights depend on how
    a table is sharded. Here a row depends on seed, table and row alone. Row 0, the unknown id, is
    zero, and so are the columns that pad the width.

    Args:
        model: a model whose collections were sharded.
        dim: width of the vectors without padding.
        seed: of the draw.
    """
    for name, rows, columns, shard in _local_shards(model):
        table = zlib.crc32(name.encode())
        for block in range(rows // _BLOCK, -(-(rows + shard.shape[0]) // _BLOCK)):
            state = np.random.SeedSequence((seed, table, block)).generate_state(1, np.uint64)[0]
            generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
            drawn = torch.randn(_BLOCK, dim, generator=generator) * dim**-0.5
            if block == 0:
                drawn[0] = 0.0
            first, last = max(rows, block * _BLOCK), min(rows + shard.shape[0], (block + 1) * _BLOCK)
            kept = drawn[first - block * _BLOCK : last - block * _BLOCK, columns : columns + shard.shape[1]]
            target = shard[first - rows : last - rows]
            target.zero_()
            target[:, : kept.shape[1]] = kept.to(shard.device)


def _local_shards(model: nn.Module) -> Iterator[tuple[str, int, int, Tensor]]:
    """Table, first row, first column and tensor of each piece of a table on this rank."""
    for module in model.modules():
        if not isinstance(module, _COLLECTIONS):
            continue
        for key, value in module.state_dict().items():
            name = key.split(".")[-2]
            if isinstance(value, ShardedTensor):
                for local in value.local_shards():
                    row, column = local.metadata.shard_offsets
                    yield name, row, column, local.tensor
            else:
                yield name, 0, 0, value
