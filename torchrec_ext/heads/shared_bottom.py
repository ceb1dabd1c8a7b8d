"""Layers that all tasks share, and a tower for each task."""

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Head
from torchrec_ext.heads._towers import Towers, widths_of


class SharedBottomHead(Head):
    """Several tasks on one representation: shared layers with ReLU, then a small network for each task.

    From "Multitask Learning" (Caruana 1997), where one hidden layer is shared and each task has its own
    linear output, as with ``tower=()``. Hidden layers in each tower are a common extension.

    Args:
        in_dim: width of the vector.
        tasks: number of logits.
        hidden: widths of the shared layers; with ``()`` only the vector is shared.
        tower: widths of the hidden layers of each task's tower.

    Example:
        >>> import torch
        >>> SharedBottomHead(in_dim=100, tasks=3)(torch.rand(8, 100)).shape
        torch.Size([8, 3])
    """

    def __init__(
        self,
        in_dim: int,
        tasks: int = 1,
        hidden: tuple[int, ...] = (64,),
        tower: tuple[int, ...] = (32,),
    ) -> None:
        super().__init__()
        expect_at_least(1, in_dim=in_dim, tasks=tasks)
        self.in_dim = in_dim
        self.tasks = tasks
        self.hidden = widths_of("hidden", hidden)
        self.tower = widths_of("tower", tower)
        widths = (in_dim, *self.hidden)
        layers: list[nn.Module] = []
        for into, out in zip(widths, self.hidden, strict=False):
            layers += [nn.Linear(into, out), nn.ReLU()]
        self.bottom = nn.Sequential(*layers)
        self.towers = Towers(tasks, (widths[-1], *self.tower, 1), shared=True)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""
        expect_shape("vectors_BD", vectors_BD, ("batch", self.in_dim))
        return self.towers(self.bottom(vectors_BD)).squeeze(2)
