"""shard(): a model to TorchRec's DistributedModelParallel."""

from collections.abc import Callable, Mapping

from fbgemm_gpu.split_embedding_configs import EmbOptimType
from torch import nn
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ShardedModule

from torchrec_ext.distributed.plan import find_collections, make_plan
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
    say: Callable[[str], None] | None = None,
) -> DistributedModelParallel:
    """Shards the collections of a model over the process group; every rank must call it.

    The sharded tables are updated in the backward pass by a fused row-wise Adagrad; the rest of the
    model, tables that are replicated among it, is kept alike by DistributedDataParallel and wants an
    optimizer.

    Args:
        model: any module that holds EmbeddingBagCollections or EmbeddingCollections, on ``meta`` or not.
        sharding: table -> ``row_wise``, ``table_wise``, ``column_wise``, ``data_parallel``, ...; the
            planner chooses for the others.
        learning_rate: of the fused row-wise Adagrad.
        device: ``cpu`` or ``cuda``.
        batch_size: examples a rank and step, for the planner's estimates.
        say: takes the plan as text on rank 0, such as ``print``.

    Returns:
        A plain DistributedModelParallel; ``model`` itself now holds the sharded collections.

    Raises:
        InputError: for a wish that cannot be had, or a model that is sharded already.
    """
    if any(isinstance(module, ShardedModule) for module in model.modules()):
        raise InputError("the model is sharded already; build a new one, whose tables are still whole")
    group = join_group(device)
    ours = sharders(
        {"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD, "learning_rate": learning_rate, "eps": 1e-8}
    )
    collections = find_collections(model)
    with quiet_libraries():
        plan = make_plan(model, ours, device, sharding, batch_size)
    if say is not None and group.first:
        say(describe_plan(collections, plan, sharding))
    with quiet_libraries():
        return DistributedModelParallel(model, device=group.device, plan=plan, sharders=ours)
