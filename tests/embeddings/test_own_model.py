"""The adapters in a user's model: alone, traced, and in TorchRec's pipeline on two ranks."""

import pytest
import torch
from torchrec.distributed.model_parallel import DistributedModelParallel, get_default_sharders
from torchrec.distributed.planner import EmbeddingShardingPlanner, ParameterConstraints, Topology
from torchrec.distributed.train_pipeline import Tracer, TrainPipelineSparseDist
from torchrec.distributed.types import ShardingType
from torchrec.optim.apply_optimizer_in_backward import apply_optimizer_in_backward
from torchrec.optim.keyed import KeyedOptimizerWrapper
from torchrec.optim.optimizers import in_backward_optimizer_filter

from tests import processes
from tests.embeddings.own_model import OwnModel, batches

STEPS, RATE = 6, 0.5


def test_plain_symbolic_trace_of_the_adapters():
    # The embedding modules and the plug-ins stay whole, as they do in TorchRec's own tracing.
    model = OwnModel()

    class Whole(torch.fx.Tracer):
        def is_leaf_module(self, module, name):
            return name in {"pooled", "unpooled", "encoder", "interaction", "over_arch"}

    traced = torch.fx.GraphModule(model, Whole().trace(model))
    (batch,) = batches(1, 0, 1)
    assert torch.equal(traced(batch)[0], model(batch)[0])
    called = {node.target.__name__ for node in traced.graph.nodes if node.op == "call_function"}
    assert {"_stack_fields", "_split_fields", "_pad_history", "_last_state"} <= called


def test_torchrecs_tracer():
    model = OwnModel()
    leaves = ["pooled", "unpooled", "encoder", "interaction", "over_arch", "projection"]
    traced = torch.fx.GraphModule(model, Tracer(leaf_modules=leaves).trace(model))
    (batch,) = batches(1, 0, 1)
    assert torch.equal(traced(batch)[0], model(batch)[0])


def test_pipeline_on_two_ranks_learns_what_one_process_learns():
    model = OwnModel()
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    expected = []
    for batch in batches(STEPS, 0, 1):
        optimizer.zero_grad()
        loss, _ = model(batch)
        loss.backward()
        optimizer.step()
        expected.append(loss.item())
    ranks = processes.run(_pipelined)
    assert [sum(losses) / 2 for losses in zip(*ranks, strict=True)] == pytest.approx(expected, abs=1e-5)
    assert expected[-1] != pytest.approx(expected[0], abs=1e-3)


def _pipelined() -> list[float]:
    device = torch.device("cpu")
    torch.distributed.init_process_group("gloo")
    model = OwnModel("meta")
    for tables in (model.pooled, model.unpooled):
        apply_optimizer_in_backward(torch.optim.SGD, tables.parameters(), {"lr": RATE})
    table_wise = ParameterConstraints(sharding_types=[ShardingType.TABLE_WISE.value])
    planner = EmbeddingShardingPlanner(
        topology=Topology(world_size=2, compute_device="cpu"),
        constraints=dict.fromkeys(["country", "user", "item", "event"], table_wise),
    )
    plan = planner.collective_plan(model, get_default_sharders(), torch.distributed.group.WORLD)
    model = DistributedModelParallel(model, device=device, plan=plan)
    dense = dict(in_backward_optimizer_filter(model.named_parameters()))
    optimizer = KeyedOptimizerWrapper(dense, lambda parameters: torch.optim.SGD(parameters, lr=RATE))
    pipeline = TrainPipelineSparseDist(model, optimizer, device)
    share = iter(batches(STEPS, torch.distributed.get_rank(), 2))
    losses = [pipeline.progress(share).item() for _ in range(STEPS)]
    # Both sharded modules overlap with computing: the trace left their inputs in sight.
    assert len(pipeline._pipelined_modules) == 2
    return losses
