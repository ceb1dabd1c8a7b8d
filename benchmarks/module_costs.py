"""Costs of a training step of a module apart from time: parameters, floating-point operations, memory."""

import json
import tempfile
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


@dataclass(frozen=True)
class Costs:
    """Costs that do not depend on the speed of the machine.

    Args:
        parameters: number of trained values; a complex one counts twice.
        flops: floating-point operations of matrix products and convolutions, forward and backward.
        peak_bytes: peak memory without parameters and inputs.
    """

    parameters: int
    flops: int
    peak_bytes: int


def costs(module: nn.Module, step: Callable[[], None], device: torch.device) -> Costs:
    """Runs ``step`` twice: to count its operations, then, after this warm-up, to measure its memory."""
    return Costs(
        parameters=sum(p.numel() * (1 + p.is_complex()) for p in module.parameters()),
        flops=flops(step),
        peak_bytes=peak_bytes(step, device),
    )


def flops(step: Callable[[], None]) -> int:
    """Two for each multiplication and addition of a matrix product or a convolution.

    Fused kernels, such as torch's attention and oneDNN's LSTM on CPU, are disabled while it counts, because
    the counter does not see the matrix products in them. Products that a causal mask hides count too.

    Example:
        >>> a, b = torch.rand(2, 3, requires_grad=True), torch.rand(3, 4)
        >>> flops(lambda: (a @ b).sum().backward())  # a @ b, and the gradient of a
        96
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about a flag of Intel GPUs
        with (
            torch.backends.mkldnn.flags(enabled=False),
            torch.backends.cudnn.flags(enabled=False),
            sdpa_kernel(SDPBackend.MATH),
            FlopCounterMode(display=False) as counter,
        ):
            step()
    return counter.get_total_flops()


def peak_bytes(step: Callable[[], None], device: torch.device) -> int:
    """Peak memory in bytes of the tensors that the step creates, including those of kernels.

    On CUDA the allocator counts. On CPU it is the running sum of what torch's profiler records of each
    allocation and release; the resident memory of the process would also contain memory that the
    allocator caches. Memory that a library allocates outside torch is not counted.

    Example:
        >>> def step():
        ...     a = torch.ones(1000)
        ...     del a
        ...     b = torch.ones(500)
        >>> peak_bytes(step, torch.device("cpu"))
        4000
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as recorded:
        step()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        recorded.export_chrome_trace(str(trace))
        events = json.loads(trace.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    held = most = 0
    for _, change in changes:
        held += change
        most = max(most, held)
    return most
