"""Experts that all tasks share, with a gate for each task."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Head
from torchrec_ext.errors import InputError
from torchrec_ext.heads._towers import Towers, widths_of


class MMoEHead(Head):
    """Multi-gate mixture of experts: each task has a gate that weights shared experts, and a tower.

    From "Modeling Task Relationships in Multi-task Learning with Multi-gate Mixture-of-Experts"
    (Ma et al. 2018). A gate is the softmax of a linear layer without bias. An expert is a network whose last
    layer has ReLU too. A task's tower reads the sum of the experts' outputs, weighted by its gate. All
    experts are computed together, and so are all towers.

    Args:
        in_dim: width of the vector.
        tasks: number of logits.
        experts: number of experts.
        hidden: widths of the layers of each expert; the last is the width of its output.
        tower: widths of the hidden layers of each task's tower; ``()`` makes it linear.

    Example:
        >>> MMoEHead(in_dim=100, tasks=3)(torch.rand(8, 100)).shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        in_dim: int,
        tasks: int = 1,
        experts: int = 4,
        hidden: tuple[int, ...] = (64,),
        tower: tuple[int, ...] = (32,),
    ) -> None:
        super().__init__()
        expect_at_least(1, in_dim=in_dim, tasks=tasks, experts=experts)
        self.in_dim = in_dim
        self.tasks = tasks
        self.experts = experts
        self.hidden = widths_of("hidden", hidden)
        self.tower = widths_of("tower", tower)
        if not self.hidden:
            raise InputError("hidden should hold the width of at least one layer, such as (64,), received ()")
        self.expert_layers = Towers(experts, (in_dim, *self.hidden), shared=True, last_relu=True)
        self.gates = nn.Linear(in_dim, tasks * experts, bias=False)
        self.towers = Towers(tasks, (self.hidden[-1], *self.tower, 1), shared=False)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""
        expect_shape("vectors_BD", vectors_BD, ("batch", self.in_dim))
        outputs_BEH = self.expert_layers(vectors_BD)
        shares_BNE = self.gates(vectors_BD).unflatten(1, (self.tasks, self.experts)).softmax(2)
        return self.towers(torch.bmm(shares_BNE, outputs_BEH)).squeeze(2)
