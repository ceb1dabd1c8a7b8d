"""look_up_directly(): lookups of a single process, without the exchange of ids and vectors."""

from typing import Any

import torch
import torch.distributed as dist
from fbgemm_gpu.split_table_batched_embeddings_ops_common import BoundsCheckMode
from torchrec.distributed.embeddingbag import ShardedEmbeddingBagCollection
from torchrec.distributed.types import ShardingType
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor, KeyedTensor

from torchrec_ext.distributed.huge_pages import use_huge_pages
from torchrec_ext.errors import InputError


def look_up_directly(sharded: ShardedEmbeddingBagCollection) -> None:
    """Makes the forward pass of a collection call its kernels, if one process holds all its tables whole.

    torchrec 1.8 exchanges lengths, ids and vectors of a world of one rank with itself, which takes half a
    millisecond. Vectors and gradients are the same bit for bit, and parameters, optimizer and checkpoints
    remain those of the sharded collection. TorchRec's pipelines replace the forward pass by one that still
    exchanges, until they are detached.

    On a CPU large tables move into huge pages, an id that its table does not have raises a RuntimeError,
    where torchrec reads row 0 instead, and lengths that are negative or do not sum to the number of ids raise
    an InputError, where it logs an error.

    Args:
        sharded: the collection. It stays as it is on several ranks, and unless all its tables are
            table-wise.
    """
    if dist.get_world_size() > 1 or sharded._sharding_types != [ShardingType.TABLE_WISE.value]:
        return
    exchange = sharded.forward
    lookup: Any = sharded._lookups[0]
    kernels = lookup._emb_modules
    on_cpu = all(weight.device.type == "cpu" for weight in sharded.parameters())
    if on_cpu:
        # they check each id as they read it; a check of all ids in advance takes a fifth of the time
        for kernel in kernels:
            kernel.emb_module.bounds_check_mode_int = BoundsCheckMode.NONE.value
        for weight in sharded.parameters():
            use_huge_pages(weight)

    def forward(features: KeyedJaggedTensor) -> Any:
        # the first call checks the features and notes the order of their keys
        directly = not (sharded._has_uninitialized_input_dist or features.variable_stride_per_key())
        if directly and sharded._has_features_permute:
            with torch.no_grad():
                features = features.permute(sharded._features_order, sharded._features_order_tensor)
        if on_cpu:
            _expect_lengths(features)  # which the kernels do not check
        if not directly:
            return exchange(features)
        vectors = kernels[0](features) if len(kernels) == 1 else lookup(features)
        return KeyedTensor(sharded._embedding_names, sharded._embedding_dims, vectors)

    sharded.forward = forward


def _expect_lengths(features: KeyedJaggedTensor) -> None:
    total, least = 0, 0
    if features.lengths().numel():
        total, least = int(features.offsets()[-1]), int(features.lengths().min())
    if least < 0:
        raise InputError(
            f"the lengths of features {', '.join(features.keys())} include {least}: give numbers from 0"
        )
    if total != len(features.values()):
        raise InputError(
            f"the lengths of features {', '.join(features.keys())} sum to {total}, but there are "
            f"{len(features.values())} ids: give as many ids as the lengths say"
        )
