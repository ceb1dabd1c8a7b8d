"""A linear layer to the logits."""

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Head


class SingleHead(Head):
    """A linear layer from the last vector to one logit for each task.

    Args:
        in_dim: width of the vector.
        tasks: number of logits.

    Example:
        >>> import torch
        >>> SingleHead(in_dim=100)(torch.rand(8, 100)).shape
        torch.Size([8, 1])
    """

    def __init__(self, in_dim: int, tasks: int = 1) -> None:
        super().__init__()
        expect_at_least(1, in_dim=in_dim, tasks=tasks)
        self.in_dim = in_dim
        self.tasks = tasks
        self.linear = nn.Linear(in_dim, tasks)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""
        expect_shape("vectors_BD", vectors_BD, ("batch", self.in_dim))
        return self.linear(vectors_BD)
