"""The workload of a group of modules: their sizes, and one batch of inputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from torchrec_ext.contracts import MaskedEncoder, RankingLoss
from torchrec_ext.padding import real_events


@dataclass(frozen=True)
class Workload:
    """One batch for the modules of a group.

    Args:
        size: the sizes, as text.
        arguments: sizes for the constructor of a module, by name.
        examples: number of examples in examples/s.
        inputs: of ``forward``; floating-point inputs except times have gradients, like looked-up vectors.
        seed: of further inputs of a module.
        tasks: number of tasks of a ranking loss.
    """

    size: str
    arguments: dict[str, int]
    examples: int
    inputs: tuple[Tensor, ...]
    seed: int = 0
    tasks: int = 1

    def inputs_of(self, module: nn.Module) -> tuple[Tensor, ...]:
        """The inputs of this module: a masked encoder has hidden events, a ranking loss other labels."""
        if isinstance(module, RankingLoss):
            logits_NC, labels_N, tasks = self.inputs[0], self.inputs[1], self.tasks
            logits = logits_NC.detach()[:, :tasks].contiguous().requires_grad_()
            return logits, (labels_N[:, None] % 2).float().expand(-1, tasks).contiguous()
        if not isinstance(module, MaskedEncoder):
            return self.inputs
        events_BTD, lengths_B = self.inputs[:2]
        drawn = torch.rand(events_BTD.shape[:2], generator=torch.Generator().manual_seed(self.seed))
        hidden_BT = drawn.to(events_BTD.device) < module.masked_share
        return (*self.inputs, hidden_BT & real_events(events_BTD, lengths_B))


def workload(group: str, sizes: Sequence[int], device: torch.device, seed: int = 0) -> Workload:
    """Draws the batch of a group; it depends on the seed and not on the device.

    Args:
        group: the group of modules.
        sizes: the three sizes of the group in ``modules.Settings``.
        device: of the inputs.
        seed: of the inputs.

    Example:
        >>> drawn = workload("encoders", (4, 9, 8), torch.device("cpu"))
        >>> events_BTD, lengths_B, times_BT = drawn.inputs
        >>> events_BTD.shape[1] == times_BT.shape[1] == int(lengths_B.max()) <= 9
        True
    """
    generator = torch.Generator().manual_seed(seed)

    def vectors(*shape: int) -> Tensor:
        # Like the vectors of a table: each of about unit length.
        drawn = torch.randn(shape, generator=generator) * shape[-1] ** -0.5
        return drawn.to(device).requires_grad_()

    def histories(batch: int, longest: int, dim: int) -> tuple[Tensor, Tensor]:
        lengths_B = history_lengths(batch, longest, generator)
        return vectors(batch, int(lengths_B.max()), dim), lengths_B.to(device)

    first, second, third = sizes
    arguments: dict[str, int]
    inputs: tuple[Tensor, ...]
    if group == "interactions":
        size = f"{first} x {second} fields x {third} wide"
        arguments = {"num_fields": second, "dim": third}
        inputs = (vectors(first, second, third),)
    elif group == "encoders":
        events, lengths = histories(first, second, third)
        size = _of_histories(sizes, lengths)
        arguments = {"dim": third}
        gaps = torch.empty(events.shape[:2], dtype=torch.float64).exponential_(1 / 3600, generator=generator)
        inputs = (events, lengths, gaps.cumsum(1).to(device))
    elif group == "target_attention":
        events, lengths = histories(first, second, third)
        size = _of_histories(sizes, lengths)
        arguments = {"dim": third}
        inputs = (vectors(first, third), events, lengths)
    elif group == "losses":
        size = f"{first} x {second} candidates, or {first} x {third} tasks"
        arguments = {}
        inputs = (vectors(first, second), torch.randint(second, (first,), generator=generator).to(device))
    elif group == "scorers":
        size = f"{first} queries x {second} shared candidates x {third} wide"
        arguments = {"dim": third}
        inputs = (vectors(first, third), vectors(second, third))
    else:
        size = f"{first} x {second} wide, {third} tasks"
        arguments = {"in_dim": second, "tasks": third}
        inputs = (vectors(first, second),)
    return Workload(size, arguments, first, inputs, seed, third)


def history_lengths(batch: int, longest: int, generator: torch.Generator) -> Tensor:
    """``(B,)`` int64 lengths, distributed like those of MovieLens-1M with histories cut at 200.

    There the median is 96 and the mean, before the cut, 165: a log-normal distribution with these two.
    The median is proportional to ``longest``.
    """
    median, mean = 0.48 * longest, 0.825 * longest
    spread = math.sqrt(2 * math.log(mean / median))
    drawn = torch.empty(batch).log_normal_(math.log(median), spread, generator=generator)
    return drawn.long().clamp(1, longest)


def forward(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    """The outputs that training uses: the output of a module, and its auxiliary loss if it has one."""
    training: Any = getattr(module, "forward_and_loss", module)
    outputs = training(*inputs)
    return [*outputs] if isinstance(outputs, tuple) else [outputs]


def _of_histories(sizes: Sequence[int], lengths_B: Tensor) -> str:
    batch, longest, dim = sizes
    mean = lengths_B.double().mean().item()
    cut = int(lengths_B.max())
    return f"{batch} histories of {mean:.0f} events on average, {cut} at most (cut at {longest}) x {dim} wide"
