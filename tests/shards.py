"""Sharded tensors of several ranks as whole ones."""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.distributed._shard.sharded_tensor import ShardedTensor


def held(state: Mapping[str, object], prefix: str = "") -> dict[str, Tensor]:
    """The tensors of a nested state, whole but NaN where another rank holds them."""
    found: dict[str, Tensor] = {}
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            found |= held(value, f"{name}/")
        elif isinstance(value, ShardedTensor):
            found[name] = torch.full(tuple(value.size()), torch.nan)
            for local in value.local_shards():
                at = zip(local.metadata.shard_offsets, local.tensor.shape, strict=True)
                found[name][tuple(slice(start, start + size) for start, size in at)] = local.tensor.detach()
        elif isinstance(value, Tensor):
            found[name] = value.detach().clone()
    return found


def joined(ranks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """What several ranks hold, as one."""
    whole = {}
    for name in dict.fromkeys(name for rank in ranks for name in rank):
        parts = torch.stack([rank[name].double() for rank in ranks if name in rank])
        there = ~parts.isnan()
        assert there.any(0).all(), f"nobody holds a part of {name}"
        whole[name] = parts.nan_to_num(-torch.inf).amax(0)
        assert torch.equal(whole[name].expand_as(parts)[there], parts[there]), f"copies of {name} differ"
    return whole


def assert_equal(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """The same names, the same values."""
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        assert torch.equal(found[name].double(), value.double()), name
