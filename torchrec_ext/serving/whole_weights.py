"""The weights of a model whose tables are sharded over one process, as plain tensors."""

import re
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.distributed._shard.sharded_tensor import ShardedTensor

_TABLE = re.compile(r"embeddings\.(?:bags\.embedding_bags|(?:events|words)\.embeddings)\.(\w+)\.weight")
_FIRST_ORDER = re.compile(r"id_weights\.\w+\.embedding_bags\.(\w+)_first_order\.weight")


class WholeWeights(NamedTuple):
    """Weights of a ``TwoTower`` or a ``Ranker`` on the CPU.

    ``tables`` and ``first_order`` hold ``(R, width)`` float32 rows by the name of the table, ``dense`` the
    other weights by their name in the model.
    """

    tables: dict[str, Tensor]
    first_order: dict[str, Tensor]
    dense: dict[str, Tensor]


def whole_weights(module: nn.Module, dim: int, tasks: int) -> WholeWeights:
    """The weights of a module, its tables without the columns that the fused kernels pad them with.

    Args:
        module: in one process.
        dim: width of a vector.
        tasks: width of the first-order weights of an id.
    """
    found = WholeWeights({}, {}, {})
    for name, value in module.state_dict().items():
        whole = _whole(value)
        if table := _TABLE.fullmatch(name):
            found.tables[table[1]] = whole[:, :dim].float()
        elif table := _FIRST_ORDER.fullmatch(name):
            found.first_order[table[1]] = whole[:, :tasks].float()
        else:
            found.dense[name] = whole
    return found


def _whole(value: Tensor | ShardedTensor) -> Tensor:
    if not isinstance(value, ShardedTensor):
        return value.detach().cpu()
    whole = torch.empty(tuple(value.metadata().size), dtype=value.metadata().tensor_properties.dtype)
    for shard in value.local_shards():
        at = zip(shard.metadata.shard_offsets, shard.tensor.shape, strict=True)
        whole[tuple(slice(start, start + size) for start, size in at)] = shard.tensor.detach().cpu()
    return whole
