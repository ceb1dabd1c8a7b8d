"""shard(): wraps a model in TorchRec's DistributedModelParallel."""

from collections.abc import Callable, Mapping

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from torch import nn
from torchrec.distributed.model_parallel import DataParallelWrapper, DistributedModelParallel
from torchrec.distributed.types import ShardedModule, ShardingEnv

from torchrec_ext.distributed.find_collections import find_collections
from torchrec_ext.distributed.plan import make_plan
from torchrec_ext.distributed.plan_table import describe_plan
from torchrec_ext.distributed.process_group import join_group
from torchrec_ext.distributed.quiet import quiet_libraries
from torchrec_ext.distributed.sharders import sharders
from torchrec_ext.errors import InputError


def shard(
    model: nn.Module,
    *,
    sharding: Mapping[str, str] | None = None,
    learning_rate: float = 0.1,
    device: str = "cpu",
    batch_size: int = 512,
    log: Callable[[str], None] | None = None,
) -> DistributedModelParallel:
    """Shards the collections of a model over the process group; every rank must call it.

    A fused row-wise Adagrad updates the sharded tables in the backward pass. DistributedDataParallel keeps
    the rest of the model alike on several ranks, replicated tables included; it needs an optimizer.

    Args:
        model: any module that holds EmbeddingBagCollections, FeatureProcessedEmbeddingBagCollections or
            EmbeddingCollections, on ``meta`` or not.
        sharding: table -> ``row_wise``, ``table_wise``, ``column_wise``, ``data_parallel``, ...; the
            planner chooses for the others. A table with too few rows for a row on every rank is
            table-wise whatever is asked for; the logged plan says why. Over gloo, pooled tables split by
            rows need batches of equal size on all ranks; training on others raises an InputError.
        learning_rate: of the fused row-wise Adagrad.
        device: ``cpu`` or ``cuda``.
        batch_size: examples a rank and step, for the planner's estimates.
        log: receives the plan as text on rank 0, such as ``print``.

    Returns:
        A plain DistributedModelParallel; ``model`` itself now holds the sharded collections.

    Raises:
        InputError: for a sharding type that a table cannot have, a table whose width is not a multiple of
            4, or a model that is sharded already.
    """
    if any(isinstance(module, ShardedModule) for module in model.modules()):
        raise InputError("the model is sharded already; build a new one and shard that")
    group = join_group(device)
    ours = sharders(
        {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": learning_rate, "eps": 1e-8}
    )
    collections = find_collections(model)
    with quiet_libraries():
        plan = make_plan(model, ours, device, sharding, batch_size)
    if log is not None and group.first:
        log(describe_plan(collections, plan, sharding))
    with quiet_libraries():
        return DistributedModelParallel(
            model, device=group.device, plan=plan, sharders=ours,
            data_parallel_wrapper=_Alone() if group.world_size == 1 else None,
        )  # fmt: skip


class _Alone(DataParallelWrapper):
    """Leaves the rest of a model without DistributedDataParallel, which one process does not need."""

    def wrap(self, dmp: DistributedModelParallel, env: ShardingEnv, device: torch.device) -> None:
        dmp._dmp_wrapped_module.to(device)
