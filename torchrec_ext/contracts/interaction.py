"""Interaction: field vectors to one vector."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Interaction(nn.Module, ABC):
    """Field vectors to one vector.

    A model builds it as ``cls(num_fields=F, dim=D, **arguments)``. An output that consists of several vectors
    of the same width, one after the other, declares their number as ``out_fields``: ``Stacked`` passes them
    as field vectors to the next interaction.
    """

    out_dim: int
    out_fields: int = 1

    @abstractmethod
    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
