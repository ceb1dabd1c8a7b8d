"""Estimates on paper: TorchRec's planner plans tables over many GPUs and adds up its cost model."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from fbgemm_gpu.split_embedding_configs import EmbOptimType
from record import Row
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.planner.storage_reservations import FixedPercentageStorageReservation
from torchrec.distributed.planner.types import PlannerError

from torchrec_ext.distributed import quiet_libraries
from torchrec_ext.distributed.sharders import AUTOMATIC, sharders


@dataclass(frozen=True)
class Gpu:
    """The hardware of the cost model, by default an H100 SXM and 400 Gb/s of network for each.

    The figures are those of its data sheet, which kernels do not reach.

    Args:
        memory: bytes of a GPU, of which 15% are left for all that is not a table.
        memory_rate: bytes a second of its memory.
        node_rate: bytes a second between the GPUs of a machine, in one direction.
        network_rate: bytes a second of a GPU to other machines.
        a_node: GPUs of a machine.
    """

    memory: int = 80 * 10**9
    memory_rate: float = 3.35e12
    node_rate: float = 450e9
    network_rate: float = 50e9
    a_node: int = 8


@dataclass(frozen=True)
class Estimate:
    """One number of GPUs.

    Args:
        gpus: their number.
        seconds: of the lookups and updates of a step on the GPU that takes longest; None: nothing fits.
        exchange_seconds: the part of it that sends ids, vectors and gradients.
        bytes_held: of the fullest GPU.
        shardings: sharding type -> tables.
    """

    gpus: int
    seconds: float | None = None
    exchange_seconds: float = 0.0
    bytes_held: int = 0
    shardings: tuple[tuple[str, int], ...] = ()


def estimate(
    gpus: int,
    *,
    tables: int = 32,
    rows: int = 10_000_000,
    width: int = 128,
    pooling: float = 20.0,
    batch: int = 4096,
    types: Sequence[str] = AUTOMATIC,
    gpu: Gpu | None = None,
) -> Estimate:
    """Plans equal float32 tables with row-wise Adagrad over a number of GPUs; needs none of them.

    Args:
        gpus: their number.
        tables: number of tables, each with one pooled feature.
        rows: of a table.
        width: of a row.
        pooling: ids of a bag.
        batch: examples a GPU and step.
        types: sharding types that the planner may choose from.
        gpu: the hardware.

    Example:
        >>> four, eight = (estimate(gpus, tables=8, rows=10**6) for gpus in (4, 8))
        >>> four.shardings, four.bytes_held > 1.9 * eight.bytes_held
        ((('table_wise', 8),), True)
    """
    gpu = gpu or Gpu()
    configs = [
        EmbeddingBagConfig(
            name=f"table_{i}", feature_names=[f"feature_{i}"], num_embeddings=rows, embedding_dim=width
        )
        for i in range(tables)
    ]
    model = nn.ModuleDict({"tables": EmbeddingBagCollection(tables=configs, device=torch.device("meta"))})
    constraint = ParameterConstraints(
        sharding_types=list(types), pooling_factors=[pooling], compute_kernels=["fused"]
    )
    with quiet_libraries():
        planner = EmbeddingShardingPlanner(
            topology=Topology(
                world_size=gpus,
                local_world_size=min(gpus, gpu.a_node),
                compute_device="cuda",
                hbm_cap=gpu.memory,
                hbm_mem_bw=gpu.memory_rate / 1000,  # the cost model counts bytes a millisecond
                intra_host_bw=gpu.node_rate / 1000,
                inter_host_bw=gpu.network_rate / 1000,
            ),
            batch_size=batch,
            storage_reservation=FixedPercentageStorageReservation(percentage=0.15),
            constraints={config.name: constraint for config in configs},
            stats=[],
        )
        try:
            planner.plan(model, sharders({"optimizer": EmbOptimType.EXACT_ROWWISE_ADAGRAD}))
        except PlannerError:
            return Estimate(gpus)
    seconds: dict[int, float] = defaultdict(float)
    exchange: dict[int, float] = defaultdict(float)
    held: dict[int, int] = defaultdict(int)
    chosen = planner._best_plan or []
    for option in chosen:
        for shard in option.shards:
            perf = shard.perf
            seconds[shard.rank] += (perf.total + perf.input_dist_comms) / 1000  # which total leaves out
            exchange[shard.rank] += (perf.fwd_comms + perf.bwd_comms + perf.input_dist_comms) / 1000
            held[shard.rank] += shard.storage.hbm
    slowest = max(seconds, key=lambda rank: seconds[rank])
    kinds = Counter(option.sharding_type for option in chosen)
    return Estimate(
        gpus, seconds[slowest], exchange[slowest], max(held.values()), tuple(sorted(kinds.items()))
    )


def estimate_rows(estimates: Sequence[Estimate], batch: int = 4096) -> list[Row]:
    """The planner's estimates as rows of the common schema; without those that do not fit.

    Args:
        estimates: of several numbers of GPUs.
        batch: examples a GPU and step.
    """
    rows = []
    for e in estimates:
        if e.seconds is not None:
            kinds = ", ".join(f"{count} {kind}" for kind, count in e.shardings)
            figures = {
                "ms a step": 1e3 * e.seconds,
                "of it exchange": 1e3 * e.exchange_seconds,
                "GB of the fullest": e.bytes_held / 1e9,
                "M examples/s": batch * e.gpus / e.seconds / 1e6,
            }
            rows += [Row(f"{e.gpus} GPUs on paper", kinds, name, value) for name, value in figures.items()]
    return rows
