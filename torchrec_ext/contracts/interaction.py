"""Interaction: field vectors to one vector."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Interaction(nn.Module, ABC):
    """Field vectors to one vector.

    A model builds it as ``cls(num_fields=F, dim=D, **arguments)``.
    """

    out_dim: int

    @abstractmethod
    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
