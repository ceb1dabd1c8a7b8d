"""The first weights of the tables: the same whatever the sharding and the number of processes."""

import zlib
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor

from torchrec_ext.embeddings.tables import Embeddings

_BLOCK = 4096
"""Rows drawn from one seed: a rank draws the blocks that its shards touch, no others."""


@torch.no_grad()
def initialise_tables(model: nn.Module, seed: int) -> None:
    """Draws the tables of each :class:`Embeddings` in a model from a normal distribution of variance 1 / dim.

    TorchRec draws each shard from the rank's own generator, so that the first weights depend on how
    a table is sharded. Here a row depends on seed, table and row alone. Row 0, the unknown id, is
    zero, and so are the columns that pad the width.

    Args:
        model: a model whose collections were sharded.
        seed: of the draw.
    """
    for embeddings in model.modules():
        if isinstance(embeddings, Embeddings):
            for table, row, column, shard in _local_shards(embeddings):
                _draw(shard, zlib.crc32(table.encode()), row, column, embeddings.dim, seed)


def _draw(shard: Tensor, table: int, row: int, column: int, dim: int, seed: int) -> None:
    """Fills a piece of a table whose upper left corner stands at ``row`` and ``column``."""
    shard.zero_()
    end = row + shard.shape[0]
    for block in range(row // _BLOCK, -(-end // _BLOCK)):
        state = np.random.SeedSequence((seed, table, block)).generate_state(1, np.uint64)[0]
        generator = torch.Generator().manual_seed(int(state >> np.uint64(1)))
        drawn = torch.randn(_BLOCK, dim, generator=generator) * dim**-0.5
        if block == 0:
            drawn[0] = 0.0
        above = block * _BLOCK
        first, last = max(row, above), min(end, above + _BLOCK)
        kept = drawn[first - above : last - above, column : column + shard.shape[1]]
        shard[first - row : last - row, : kept.shape[1]] = kept.to(shard.device)


def _local_shards(embeddings: Embeddings) -> Iterator[tuple[str, int, int, Tensor]]:
    """Table, first row, first column and tensor of each piece of a table on this rank."""
    for key, value in embeddings.state_dict().items():
        table = key.split(".")[-2]
        if isinstance(value, ShardedTensor):
            for local in value.local_shards():
                row, column = local.metadata.shard_offsets
                yield table, row, column, local.tensor
        else:
            yield table, 0, 0, value
