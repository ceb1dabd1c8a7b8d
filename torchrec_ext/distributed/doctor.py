"""doctor(): reports which sharded modules TorchRec's pipeline overlaps, and the reason for each."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn
from torch.fx import Graph, Node
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.train_pipeline.pipeline_context import TrainPipelineContext
from torchrec.distributed.train_pipeline.tracing import NodeArgsHelper, Tracer, _get_leaf_module_names
from torchrec.distributed.types import ShardedModule


@dataclass(frozen=True)
class Finding:
    """Whether TorchRec's pipeline overlaps one sharded module.

    Args:
        module: its path in the model.
        overlapped: whether TrainPipelineSparseDist sends its ids while the previous batch is computed.
        why: the reason, and the remedy if it is not overlapped.
    """

    module: str
    overlapped: bool
    why: str

    def __str__(self) -> str:
        return f"{self.module}: {'overlapped' if self.overlapped else 'NOT overlapped'}, {self.why}"


def doctor(model: nn.Module) -> list[Finding]:
    """Traces a sharded model as TrainPipelineSparseDist does and reports what the pipeline overlaps.

    The pipeline overlaps a sharded module whose input is an attribute of the batch, passed on unchanged.
    Call ``doctor`` before a pipeline is made, or after ``pipeline.detach()``.

    Args:
        model: a DistributedModelParallel, or the model inside one.

    Returns:
        A finding for each sharded module, in the model's order; print them one a line.
    """
    if isinstance(model, DistributedModelParallel):
        model = model.module
    paths = list(_sharded_modules(model))
    try:
        graph = Tracer(leaf_modules=_get_leaf_module_names(model)).trace(model)
    except Exception as error:  # torch.fx raises whatever the model's own code raises on a proxy
        first_line = (str(error).splitlines() or [""])[0]
        why = (
            f"the model cannot be traced down to it ({type(error).__name__}: {first_line}); keep branches on "
            "tensor values and loops out of the modules that hold it, or wrap them in torch.fx.wrap"
        )
        return [Finding(path, False, why) for path in paths]
    helper = NodeArgsHelper(model, TrainPipelineContext(), False)
    return [_judge(path, graph, helper) for path in paths]


def _sharded_modules(module: nn.Module, path: str = "") -> Iterator[str]:
    """Paths of the sharded modules; one inside another is called by that one alone."""
    if isinstance(module, ShardedModule):
        yield path
        return
    for name, child in module.named_children():
        yield from _sharded_modules(child, f"{path}.{name}" if path else name)


def _judge(path: str, graph: Graph, helper: NodeArgsHelper) -> Finding:
    calls = [node for node in graph.nodes if node.op == "call_module" and node.target == path]
    if not calls:
        return Finding(path, False, "forward never calls it; remove it or call it")
    if len(calls) > 1:
        why = (
            f"forward calls it {len(calls)} times; look all up in one call, as keys of one KeyedJaggedTensor"
        )
        return Finding(path, False, why)
    call = calls[0]
    arguments = (*call.args, *call.kwargs.values())
    if not arguments:
        return Finding(path, False, "it is called without an input; pass it a KeyedJaggedTensor of the batch")
    if helper.get_node_args(call)[1] == len(arguments):
        return Finding(path, True, "its input comes straight from the batch")
    makers = " and ".join(maker for maker in map(_maker, arguments) if maker)
    why = f"its input is made by {makers}; do that in the data path and pass the result on unchanged"
    return Finding(path, False, why)


def _maker(argument: object) -> str | None:
    """Names what made an argument; None for one that comes straight from the batch."""
    if not isinstance(argument, Node):
        return f"forward itself ({argument!r})"
    if argument.op == "placeholder":
        return None
    if argument.op == "call_method":
        return f"the method {argument.target}()"
    if argument.op == "call_module":
        return f"the module {argument.target}"
    name = getattr(argument.target, "__name__", str(argument.target))
    if name in ("getattr", "getitem"):
        return _maker(argument.args[0])
    return f"the function {name}()"
