"""Times the forward pass and the training step of modules alternately, together with a matrix product."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import interleaved
import torch
from interleaved import Timing
from module_costs import Costs, costs
from module_workloads import forward
from torch import Tensor, nn


@dataclass(frozen=True)
class Measured:
    """The measurements of one module.

    Args:
        forward: seconds of a forward pass in training, which saves tensors for the backward pass.
        step: seconds of a forward and a backward pass.
        flop_rates: for each round the floating-point operations per second of the machine.
        costs: parameters, operations and memory of a step.
    """

    forward: Timing
    step: Timing
    flop_rates: list[float]
    costs: Costs

    @property
    def backward_rounds(self) -> list[float]:
        """Seconds of the backward pass in each round: a step minus a forward pass."""
        return [whole - part for whole, part in zip(self.step.rounds, self.forward.rounds, strict=True)]

    @property
    def shares(self) -> list[float]:
        """For each round, the rate of the step's matrix products as a share of the rate of the machine."""
        rounds = zip(self.step.rounds, self.flop_rates, strict=True)
        return [self.costs.flops / seconds / rate for seconds, rate in rounds]


def measure(
    contenders: Mapping[str, tuple[nn.Module, tuple[Tensor, ...]]],
    *,
    rounds: int,
    block_seconds: float,
    device: torch.device,
) -> dict[str, Measured]:
    """Measures all contenders alternately; needs the default process group.

    Args:
        contenders: name -> module, in training mode, and its inputs.
        rounds: timed blocks of each.
        block_seconds: approximate length of a block.
        device: of the modules.
    """
    actions: dict[str, Callable[[int], None]] = {}
    taken: dict[str, Costs] = {}
    for name, (module, inputs) in contenders.items():
        one_forward, one_step = _actions(module, inputs)
        taken[name] = costs(module, lambda step=one_step: step(0), device)  # type: ignore[misc]
        actions |= {f"{name} forward": one_forward, f"{name} step": one_step}
    edge = 1024 if device.type == "cpu" else 8192
    left, right, product = (torch.rand(edge, edge, device=device) for _ in range(3))

    def multiply(_: int) -> None:
        torch.mm(left, right, out=product)

    actions["product"] = multiply
    timings = interleaved.measure(
        actions,
        rounds=rounds,
        warmup=0,  # the blocks that determine the number of steps come first
        block_seconds=block_seconds,
        synchronise=torch.cuda.synchronize if device.type == "cuda" else lambda: None,
        clock="processor" if device.type == "cpu" and torch.get_num_threads() == 1 else "wall",
    )
    rates = [2 * edge**3 / seconds for seconds in timings["product"].rounds]
    return {
        name: Measured(timings[f"{name} forward"], timings[f"{name} step"], rates, taken[name])
        for name in contenders
    }


def _actions(
    module: nn.Module, inputs: tuple[Tensor, ...]
) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """A forward pass, and a step, which computes and releases gradients of parameters and inputs."""
    learnt = [*module.parameters(), *(tensor for tensor in inputs if tensor.requires_grad)]
    with torch.no_grad():
        gradients = [torch.randn_like(output) for output in forward(module, inputs)]

    def one_forward(_: int) -> None:
        forward(module, inputs)

    def one_step(_: int) -> None:
        outputs = forward(module, inputs)
        # An output without a gradient is left out.
        learning = [pair for pair in zip(outputs, gradients, strict=True) if pair[0].requires_grad]
        torch.autograd.backward([output for output, _ in learning], [gradient for _, gradient in learning])
        for tensor in learnt:
            tensor.grad = None

    return one_forward, one_step
