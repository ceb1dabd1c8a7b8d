"""Heads, a layer a task and expert."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Single(nn.Module):
    """``nn.Linear``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.linear = nn.Linear(ours.in_dim, ours.tasks)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` to ``(B, tasks)``."""
        return self.linear(vectors_BD)


class SharedLayers(nn.Module):
    """Shared layers, and a tower a task."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.shared = _layers((ours.in_dim, *ours.hidden), last_relu=True)
        widths = ((ours.in_dim, *ours.hidden)[-1], *ours.tower, 1)
        self.towers = nn.ModuleList(_layers(widths) for _ in range(ours.tasks))

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` to ``(B, tasks)``."""
        shared = self.shared(vectors_BD)
        return torch.cat([tower(shared) for tower in self.towers], 1)


class Experts(nn.Module):
    """Experts, a gate a task and a tower a task, one after the other."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        widths = (ours.in_dim, *ours.hidden)
        self.experts = nn.ModuleList(_layers(widths, last_relu=True) for _ in range(ours.experts))
        gates = (nn.Linear(ours.in_dim, ours.experts, bias=False) for _ in range(ours.tasks))
        self.gates = nn.ModuleList(gates)
        self.towers = nn.ModuleList(_layers((widths[-1], *ours.tower, 1)) for _ in range(ours.tasks))

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` to ``(B, tasks)``."""
        known = torch.stack([expert(vectors_BD) for expert in self.experts], 1)
        logits = []
        for gate, tower in zip(self.gates, self.towers, strict=True):
            shares = gate(vectors_BD).softmax(1)
            logits.append(tower((shares.unsqueeze(2) * known).sum(1)))
        return torch.cat(logits, 1)


def _layers(widths: tuple[int, ...], last_relu: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for into, out in zip(widths, widths[1:], strict=False):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*(layers if last_relu else layers[:-1]))


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "mmoe": ("layer by layer", Experts),
    "shared_bottom": ("layer by layer", SharedLayers),
    "single": ("nn.Linear", Single),
}
