"""Head: the last vector to logits."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Head(nn.Module, ABC):
    """The last vector to the logits of one or several tasks.

    A model builds it as ``cls(in_dim=D, tasks=n, **arguments)``.
    """

    tasks: int
    additive: bool = True
    """Whether a model may add a term to the logits, such as the first-order term of a ranker."""

    @abstractmethod
    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits."""
