"""Experts of each task beside shared ones, in several layers."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Head
from torchrec_ext.errors import InputError
from torchrec_ext.heads._towers import Towers, widths_of


class PLEHead(Head):
    """Progressive layered extraction: a task mixes its own experts and shared ones, layer after layer.

    From "Progressive Layered Extraction (PLE): A Novel Multi-Task Learning (MTL) Model for Personalized
    Recommendations" (Tang et al. 2020). In a layer each task has a gate, the softmax of a linear layer
    without bias, over its own experts and the shared ones (customized gate control, section 4.1); the
    weighted sum is what the task's experts and gate of the next layer read. A further gate over all experts
    gives what the shared ones read (section 4.2); the last layer does not need it. A task's tower reads its
    sum of the last layer. With one layer this is the paper's CGC. An expert is a network whose last layer has
    ReLU too. The paper's weights of the tasks' losses are not part of a head.

    Args:
        in_dim: width of the vector.
        tasks: number of logits.
        experts: number of experts of each task in each layer.
        shared_experts: number of shared experts in each layer.
        layers: number of extraction layers.
        hidden: widths of the layers of each expert; the last is the width of its output.
        tower: widths of the hidden layers of each task's tower; ``()`` makes it linear.

    Example:
        >>> PLEHead(in_dim=100, tasks=3)(torch.rand(8, 100)).shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        in_dim: int,
        tasks: int = 1,
        experts: int = 2,
        shared_experts: int = 2,
        layers: int = 2,
        hidden: tuple[int, ...] = (64,),
        tower: tuple[int, ...] = (32,),
    ) -> None:
        super().__init__()
        expect_at_least(1, in_dim=in_dim, tasks=tasks, experts=experts, shared_experts=shared_experts)
        expect_at_least(1, layers=layers)
        self.in_dim = in_dim
        self.tasks = tasks
        self.experts = experts
        self.shared_experts = shared_experts
        self.layers = layers
        self.hidden = widths_of("hidden", hidden)
        self.tower = widths_of("tower", tower)
        if not self.hidden:
            raise InputError("hidden should hold the width of at least one layer, such as (64,), received ()")
        into = [in_dim, *[self.hidden[-1]] * (layers - 1)]
        self.extraction = nn.ModuleList(
            _Extraction(
                tasks, experts, shared_experts, (width, *self.hidden), number == 0, number < layers - 1
            )
            for number, width in enumerate(into)
        )
        self.towers = Towers(tasks, (self.hidden[-1], *self.tower, 1), shared=False)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""
        expect_shape("vectors_BD", vectors_BD, ("batch", self.in_dim))
        states = [vectors_BD] * (self.tasks + 1)
        for layer in self.extraction:
            states = layer(states)
        return self.towers(torch.stack(states, 1)).squeeze(2)


class _Extraction(nn.Module):
    """One layer: the experts of each task, then the shared ones, computed together, and the gates."""

    def __init__(
        self, tasks: int, experts: int, shared_experts: int, widths: tuple[int, ...], first: bool, more: bool
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.experts = experts
        self.first = first
        self.counts = [experts] * tasks + [shared_experts]
        self.expert_layers = Towers(sum(self.counts), widths, shared=first, last_relu=True)
        seen = [experts + shared_experts] * tasks + ([sum(self.counts)] if more else [])
        self.gates = nn.ModuleList(nn.Linear(widths[0], count, bias=False) for count in seen)

    def forward(self, states: list[Tensor]) -> list[Tensor]:
        """``(B, in)`` vectors that each task and, last, the shared experts read to those of the next one."""
        read = states[0]
        if not self.first:
            groups = zip(states, self.counts, strict=True)
            read = torch.stack([state for state, count in groups for _ in range(count)], 1)
        outputs_BEH = self.expert_layers(read)
        shared_BEH = outputs_BEH[:, self.tasks * self.experts :]
        mixed = []
        for number, gate in enumerate(self.gates):
            seen_BEH = outputs_BEH
            if number < self.tasks:
                own_BEH = outputs_BEH[:, number * self.experts : (number + 1) * self.experts]
                seen_BEH = torch.cat([own_BEH, shared_BEH], 1)
            shares_BE = gate(states[number]).softmax(1)
            mixed.append((shares_BE.unsqueeze(1) @ seen_BEH).squeeze(1))
        return mixed
