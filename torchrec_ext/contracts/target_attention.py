"""TargetAttention: a candidate and a history to one vector."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class TargetAttention(nn.Module, ABC):
    """A candidate and a history to one vector; an empty history gives zeros.

    If ``match`` names a categorical side feature of the items, such as ``item_category``, ``forward`` takes
    one more argument, ``matches_BT``: ``(B, T)`` bool, True where the item of an event shares a value of it
    with the candidate. A model builds it as ``cls(dim=D, **arguments)``.
    """

    out_dim: int
    match: str | None = None

    @abstractmethod
    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` candidates, ``(B, T, D)`` events and ``(B,)`` int lengths to ``(B, out_dim)``."""


class SupervisedTargetAttention(TargetAttention):
    """A target attention with an auxiliary loss, which training adds to the loss of the ranker."""

    @abstractmethod
    def forward_and_loss(
        self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The result of ``forward``, and a weighted scalar loss to add; 0 for empty histories."""
