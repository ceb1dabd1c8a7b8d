"""largest_rank_bytes(): what the weights of a sharded model need on the rank that holds most of them."""

import torch
import torch.distributed as dist
from torch import nn


def largest_rank_bytes(module: nn.Module) -> int:
    """Bytes of the weights, without optimizer state, on the fullest rank; every rank must call it.

    Args:
        module: sharded or not.

    Example:
        >>> largest_rank_bytes(nn.Linear(3, 2))
        32
    """
    parameters = list(module.parameters())
    size = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return size
    largest = torch.tensor(size, device=parameters[0].device if parameters else None)
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)
