"""refuse_uneven_batches(): one line where gloo would fail in the backward pass of a row-wise table."""

from collections.abc import Collection
from typing import Any

import torch
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.sharding.grid_sharding import GridPooledEmbeddingDist
from torchrec.distributed.sharding.rw_sharding import RwPooledEmbeddingDist
from torchrec.distributed.sharding.twrw_sharding import TwRwPooledEmbeddingDist

from torchrec_ext.errors import InputError

_BY_ROWS = (RwPooledEmbeddingDist, TwRwPooledEmbeddingDist, GridPooledEmbeddingDist)


def refuse_uneven_batches(sharded: ShardedEmbeddingBagCollection, tables: Collection[str]) -> None:
    """Makes a sharded collection refuse a training batch that is larger on one rank than on another.

    The backward pass of a pooled table that is split by rows gathers gradients of the ranks' examples. In
    torchrec 1.8 gloo wants as many from each and otherwise fails or hangs after the forward pass. Each rank
    knows the others' batch sizes from the exchange of the ids, so that the check costs no communication,
    and all ranks raise together.

    Args:
        sharded: the collection; its lookups on a GPU and without gradients stay as they are.
        tables: those that are split by rows, for the message.
    """

    def check(_: Any, arguments: tuple[Any, ...]) -> None:
        vectors, context = arguments
        if context is None or context.variable_batch_per_feature or vectors.is_cuda:
            return
        sizes = context.batch_size_per_rank
        if len(set(sizes)) > 1 and torch.is_grad_enabled():
            raise InputError(
                f"the ranks have batches of {', '.join(map(str, sizes))} examples, but over gloo pooled "
                f"tables split by rows ({', '.join(tables)}) need as many on every rank; "
                "drop or pad the last batch, or shard them table_wise"
            )

    for output in sharded._output_dists:
        if isinstance(output, _BY_ROWS):
            output.register_forward_pre_hook(check)
