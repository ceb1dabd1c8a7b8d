"""Optimizers: the fused one of the sharded tables and Adam for the rest, as one."""

import torch
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.optimizers import in_backward_optimizer_filter


def make_optimizer(
    dmp: DistributedModelParallel, learning_rate: float, weight_decay: float = 0.0
) -> CombinedOptimizer:
    """Adam for every parameter that no fused optimizer updates, beside those that are fused.

    Args:
        dmp: the sharded model.
        learning_rate: of Adam; the fused one's was given to ``shard``.
        weight_decay: of Adam, decoupled from the gradient (AdamW).
    """
    dense = dict(in_backward_optimizer_filter(dmp.named_parameters()))
    if not dense:
        return CombinedOptimizer([dmp.fused_optimizer])
    adam = torch.optim.AdamW(dense.values(), lr=learning_rate, weight_decay=weight_decay)
    for parameter in dense.values():
        # what Adam itself begins with at its first step, so that a checkpoint finds a state to load into
        adam.state[parameter] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return CombinedOptimizer([dmp.fused_optimizer, KeyedOptimizerWrapper(dense, lambda _: adam)])
