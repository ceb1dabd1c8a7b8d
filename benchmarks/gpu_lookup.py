"""Lookup and update of large tables as shares of the rate of a copy, for gpu_check.py."""

from typing import Any

import torch
from gpu_sizes import Sizes, Step, timed
from interleaved import compared
from record import Row
from torch import nn
from torchrec import EmbeddingBagCollection, EmbeddingBagConfig, KeyedJaggedTensor
from torchrec.distributed import DistributedModelParallel
from torchrec.distributed.sharding_plan import construct_module_sharding_plan, table_wise
from torchrec.distributed.types import ShardingPlan
from torchrec.modules.embedding_configs import DataType
from torchrec.optim import RowWiseAdagrad
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward

from torchrec_ext.distributed.sharders import BagSharder


class _Lookup(nn.Module):
    def __init__(self, ebc: EmbeddingBagCollection) -> None:
        super().__init__()
        self.ebc = ebc

    def forward(self, features: KeyedJaggedTensor) -> torch.Tensor:
        return self.ebc(features).values()


def lookups(device: torch.device, sizes: Sizes) -> list[Row]:
    """Lookup and update in table-wise sharded tables, as shares of the rate of a copy.

    Tables are float32 if they fit, else float16, else float16 with fewer rows. Bytes are those that a step
    must move: a row read for each id, float32 vectors written and gradients read for each bag, and each
    distinct row with its state read and written.
    """
    kind, rows = DataType.FP32, sizes.rows
    if device.type == "cuda":
        free = torch.cuda.mem_get_info()[0] - 4 * sizes.copied - 4 * 10**9
        if sizes.tables * rows * (sizes.width * 4 + 4) > free:
            kind, rows = DataType.FP16, min(rows, free // (sizes.tables * (sizes.width * 2 + 4)))
    row_bytes = sizes.width * (4 if kind == DataType.FP32 else 2)
    source = torch.ones(sizes.copied // 4, device=device)
    target = torch.empty_like(source)
    model = _table_wise(device, sizes, rows, kind)
    names = [f"feature_{table}" for table in range(sizes.tables)]
    found: list[Row] = []
    for pooling in (1, 20):
        bags = sizes.tables * sizes.batch
        lengths = torch.full((bags,), pooling, device=device)
        ids = [torch.randint(rows, (bags * pooling,), device=device) for _ in range(8)]
        gradient = torch.randn(sizes.batch, sizes.tables * sizes.width, device=device)

        def look_up(number: int, ids: Any = ids, lengths: Any = lengths) -> torch.Tensor:
            return model(KeyedJaggedTensor(names, values=ids[number % 8], lengths=lengths))

        def forward(number: int, look_up: Step = look_up) -> None:
            with torch.no_grad():
                look_up(number)

        def update(number: int, look_up: Step = look_up, gradient: Any = gradient) -> None:
            look_up(number).backward(gradient)

        actions: dict[str, Step] = {
            "copy": lambda _: target.copy_(source),
            "lookup": forward,
            "update": update,
        }
        timings = timed(actions, device, sizes.seconds)
        distinct = sum(part.unique().numel() for part in ids[0].view(sizes.tables, -1))
        read = bags * (pooling * row_bytes + sizes.width * 4)
        moved = {
            "copy": 2 * source.numel() * 4,
            "lookup": read,
            "update": read + bags * sizes.width * 4 + 2 * distinct * (row_bytes + 4),
        }
        case = (
            f"{sizes.tables} tables x {rows:,} x {sizes.width} {kind.value.lower()}, batch {sizes.batch:,}, "
            f"pooling {pooling}"
        )
        per_byte = {name: [taken / moved[name] for taken in timings[name].rounds] for name in actions}
        for name, timing in timings.items():
            rate = moved[name] / timing.quartiles[1] / 1e9
            if name == "copy":
                found.append(Row(case, name, "GB/s", rate))
            else:
                found.append(compared(case, name, "GB/s", rate, "copy", per_byte[name], per_byte["copy"]))
    return found


def _table_wise(device: torch.device, sizes: Sizes, rows: int, kind: DataType) -> nn.Module:
    configs = [
        EmbeddingBagConfig(
            name=f"table_{i}", feature_names=[f"feature_{i}"], num_embeddings=rows,
            embedding_dim=sizes.width, data_type=kind,
        )
        for i in range(sizes.tables)
    ]  # fmt: skip
    model = _Lookup(EmbeddingBagCollection(tables=configs, device=torch.device("meta")))
    apply_optimizer_in_backward(RowWiseAdagrad, model.parameters(), {"lr": 0.01})
    sharder = BagSharder()
    # not by the planner, which keeps more of the memory free than this needs
    plan = construct_module_sharding_plan(
        model.ebc, {config.name: table_wise(rank=0) for config in configs}, sharder=sharder, local_size=1,
        device_type=device.type,
    )  # fmt: skip
    return DistributedModelParallel(
        model, device=device, plan=ShardingPlan({"ebc": plan}), sharders=[sharder]
    )
