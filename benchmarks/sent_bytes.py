"""Counts the bytes that a step sends to other ranks."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


def sent_bytes(step: Callable[[], object]) -> float:
    """Bytes that a rank sends in a step, the mean over the ranks, every one of which must call it.

    Neither data that stays on a rank nor the overhead of a backend is counted: an all-reduce sends each byte
    about twice, as by a ring.

    Args:
        step: is called once.
    """
    with _Collectives() as collectives:
        step()
    total = torch.tensor([collectives.sent], dtype=torch.float64)
    dist.all_reduce(total)
    return float(total) / dist.get_world_size()


class _Collectives(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.sent = 0.0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if function.namespace == "c10d":
            self.sent += _sent(function.__name__.partition(".")[0], args)
        return function(*args, **(kwargs or {}))


def _sent(name: str, args: tuple[Any, ...]) -> float:
    ranks = dist.get_world_size()
    others = (ranks - 1) / ranks
    if name == "alltoall_base_":
        _, given, _, _, splits = args[:5]
        kept = splits[dist.get_rank()] / max(1, sum(splits)) if splits else 1 / ranks
        return _bytes(given) * (1 - kept)
    if name == "_reduce_scatter_base_":
        return _bytes(args[1]) * others
    if name == "_allgather_base_":
        return _bytes(args[1]) * (ranks - 1)
    if name == "allreduce_":
        return sum(map(_bytes, args[0])) * 2 * others
    raise ValueError(f"the bytes of {name} are unknown")


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
