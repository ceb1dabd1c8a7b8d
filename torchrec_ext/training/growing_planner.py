"""GrowingPlanner: loads a checkpoint into a model whose tables have more rows."""

from dataclasses import replace
from typing import Any

import torch
from torch.distributed._shard.sharded_tensor import ShardedTensor
from torch.distributed.checkpoint.default_planner import DefaultLoadPlanner, create_default_local_load_plan
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.planner import LoadPlan

from torchrec_ext.errors import InputError

_MODEL = "model."


class GrowingPlanner(DefaultLoadPlanner):
    """Loads the rows that were saved, and leaves those behind them as they are.

    A weight may have more rows than its saved one, and its optimizer state as many more. Each rank reads the
    rows of its own shards alone, straight into them, so that no table is whole in any process. An InputError
    if something else differs.

    The stock planner compares sizes and then reads where saved and wanted shards overlap. Here a tensor that
    has grown counts as saved in its new size, so that the overlap is the saved rows. A rank without a shard
    of a tensor has no such entry in its state.

    Source: https://docs.pytorch.org/docs/stable/distributed.checkpoint.html
    """

    def create_local_plan(self) -> LoadPlan:
        assert self.metadata is not None
        saved: dict[str, Any] = self.metadata.state_dict_metadata
        sizes = {}
        for name, value in self.state_dict.items():
            if isinstance(saved.get(name), TensorStorageMetadata):
                now = value.metadata().size if isinstance(value, ShardedTensor) else value.size()
                sizes[name] = tuple(saved[name].size), tuple(now)
        grown = {n.removeprefix(_MODEL): s for n, s in sizes.items() if n.startswith(_MODEL) and s[0] != s[1]}
        for name, (before, now) in sizes.items():
            if before == now:
                continue
            weight = next((w for w in grown if name == _MODEL + w or f".{w}." in name), None)
            rows = grown[weight] if weight else ((0,), (0,))
            if (before[0], now[0]) != (rows[0][0], rows[1][0]) or before[1:] != now[1:] or now < before:
                raise InputError(
                    f"{name} was saved in the size {before} and cannot become {now}; only rows can be added, "
                    "to tables that are not column-wise"
                )
            saved[name] = replace(saved[name], size=torch.Size(now))
        return create_default_local_load_plan(self.state_dict, self.metadata)
