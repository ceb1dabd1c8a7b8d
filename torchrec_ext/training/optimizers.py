"""make_optimizer(): the fused optimizer of the sharded tables and AdamW for the rest, combined."""

import torch
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.optimizers import in_backward_optimizer_filter


def make_optimizer(
    dmp: DistributedModelParallel, learning_rate: float, weight_decay: float = 0.0
) -> CombinedOptimizer:
    """Combines the fused optimizer of the tables with AdamW for all other parameters.

    Args:
        dmp: the sharded model.
        learning_rate: of AdamW; that of the fused optimizer is an argument of ``shard``.
        weight_decay: of AdamW, decoupled from the gradient.
    """
    dense = dict(in_backward_optimizer_filter(dmp.named_parameters()))
    if not dense:
        return CombinedOptimizer([dmp.fused_optimizer])
    on_cpu = all(parameter.device.type == "cpu" for parameter in dense.values())
    adam = torch.optim.AdamW(
        dense.values(), lr=learning_rate, weight_decay=weight_decay, fused=on_cpu or None
    )  # one kernel for all parameters; on a GPU torch chooses one by itself
    for parameter in dense.values():
        # Adam's own initial state, so that a checkpoint has a state to load into
        adam.state[parameter] = {
            "step": torch.tensor(0.0),
            "exp_avg": torch.zeros_like(parameter),
            "exp_avg_sq": torch.zeros_like(parameter),
        }
    return CombinedOptimizer([dmp.fused_optimizer, KeyedOptimizerWrapper(dense, lambda _: adam)])
