"""The first weights of the tables: the same whatever the sharding and the number of processes."""

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torchrec.distributed.embedding import ShardedEmbeddingCollection
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

from torchrec_ext.embeddings.first_order import FirstOrder
from torchrec_ext.embeddings.tables import Embeddings

_COLLECTIONS = (
    EmbeddingBagCollection, EmbeddingCollection, ShardedEmbeddingBagCollection, ShardedEmbeddingCollection,
)  # fmt: skip
_BLOCK = 4096
"""Rows drawn from one seed: a rank draws only the blocks that its shards touch."""


@torch.no_grad()
def initialise_tables(model: nn.Module, seed: int) -> None:
    """Draws every embedding table of a model from a normal distribution of variance 1 / dim.

    The weights of each :class:`FirstOrder` are set to zero.

    TorchRec draws each shard from the rank's own generator, so that the first weights depend on how
    a table is sharded. Here a row depends on seed, table and row alone. Row 0, the unknown id, is
    zero, and so are the columns with which :class:`Embeddings` pads a width. A table whose configuration
    has an ``init_fn`` of its own keeps the weights that the function set.

    Args:
        model: a model whose collections were sharded, those of :class:`Embeddings` or any others.
        seed: of the draw.

    Example:
        >>> from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
        >>> table = EmbeddingBagConfig(5, 8, "word", feature_names=["word"])
        >>> words = EmbeddingBagCollection([table])
        >>> initialise_tables(words, seed=0)
        >>> words.embedding_bags["word"].weight[0].tolist()
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    dims = {
        id(collection): embeddings.dim
        for embeddings in model.modules()
        if isinstance(embeddings, Embeddings)
        for collection in (embeddings.bags, embeddings.events, embeddings.words)
    }
    zero = {
        id(collection)
        for first_order in model.modules()
        if isinstance(first_order, FirstOrder)
        for collection in (first_order.fields, first_order.candidates)
    }
    for collection in model.modules():
        if isinstance(collection, _COLLECTIONS):
            kept = _with_own_init(collection)
            for table, row, column, width, shard in _local_shards(collection):
                if id(collection) in zero:
                    shard.zero_()
                elif table not in kept:
                    dim = dims.get(id(collection), width)
                    _draw(shard, zlib.crc32(table.encode()), row, column, dim, seed)


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


def _with_own_init(collection: Any) -> set[str]:
    """Tables whose ``init_fn`` is not the one that TorchRec 1.8 puts where there is none."""
    bags = isinstance(collection, EmbeddingBagCollection | ShardedEmbeddingBagCollection)
    configs = collection._embedding_bag_configs if bags else collection._embedding_configs
    return {c.name for c in configs if getattr(c.init_fn, "func", None) is not nn.init.uniform_}


def _local_shards(collection: nn.Module) -> Iterator[tuple[str, int, int, int, Tensor]]:
    """Table, first row, first column, width of the whole table, and tensor of each local piece of a table."""
    for key, value in collection.state_dict().items():
        table = key.split(".")[-2]
        if isinstance(value, ShardedTensor):
            for local in value.local_shards():
                row, column = local.metadata.shard_offsets
                yield table, row, column, value.metadata().size[1], local.tensor
        else:
            yield table, 0, 0, value.size(1), value
