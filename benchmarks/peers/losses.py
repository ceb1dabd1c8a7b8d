"""Losses, with torch's modules."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn


class CrossEntropy(nn.Module):
    """``nn.CrossEntropyLoss``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.loss = nn.CrossEntropyLoss(reduction="none", ignore_index=-1)

    def forward(self, logits_NC: Tensor, labels_N: Tensor) -> Tensor:
        """``(N, C)`` logits and ``(N,)`` labels to ``(N,)`` losses."""
        return self.loss(logits_NC, labels_N)


class BinaryCrossEntropy(nn.Module):
    """``nn.BCEWithLogitsLoss``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.loss = nn.BCEWithLogitsLoss(reduction="none")

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits and labels to losses of the same shape."""
        return self.loss(logits, labels)


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "binary_cross_entropy": ("nn.BCEWithLogitsLoss", BinaryCrossEntropy),
    "softmax_cross_entropy": ("nn.CrossEntropyLoss", CrossEntropy),
}
