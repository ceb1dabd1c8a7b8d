"""Recurrent encoders: torch's layers, one with attention over its states, and a linear one."""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class Recurrence(nn.Module):
    """``nn.GRU`` or ``nn.LSTM``, and dropout before and after it."""

    def __init__(self, ours: Any, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        between = ours.dropout if ours.layers > 1 else 0.0
        self.recurrence = kind(ours.dim, ours.hidden, ours.layers, batch_first=True, dropout=between)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, hidden)``."""
        return self.drop(self.recurrence(self.drop(events_BTD))[0])


class LinearRecurrence(nn.Module):
    """LRURec: complex states, found in log2(T) rounds that each join two neighbouring blocks."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        dim, hidden = ours.dim, ours.hidden
        self.norm, self.drop = nn.LayerNorm(dim), nn.Dropout(ours.dropout)
        size_LH = torch.empty(ours.layers, hidden).uniform_(ours.r_min, ours.r_max)
        self.log_decay = nn.Parameter(size_LH.log().neg().log())
        self.log_angle = nn.Parameter((2 * math.pi * torch.rand(ours.layers, hidden)).clamp(min=1e-5).log())
        self.log_gain = nn.Parameter((1 - size_LH**2).log() / 2)
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "into": nn.Linear(dim, hidden, dtype=torch.cfloat),
                    "out": nn.Linear(hidden, dim, dtype=torch.cfloat),
                    "norm": nn.LayerNorm(dim),
                    "feed": nn.Sequential(
                        nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(ours.dropout), nn.Linear(4 * dim, dim)
                    ),
                    "feed_norm": nn.LayerNorm(dim),
                }
            )
            for _ in range(ours.layers)
        )

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        events = events_BTD.shape[1]
        rounds = math.ceil(math.log2(max(events, 1)))
        vectors = functional.pad(self.drop(self.norm(events_BTD)), (0, 0, 0, 2**rounds - events))
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleDict)
            rate_H = torch.exp(torch.complex(-self.log_decay[number].exp(), self.log_angle[number].exp()))
            states = layer["into"](vectors.to(torch.cfloat)) * self.log_gain[number].exp()
            rates = rate_H.unsqueeze(0)
            for _ in range(rounds):
                first, second = states.unflatten(1, (-1, 2, len(rates))).unbind(2)
                states = torch.cat([first, second + rates * first[:, :, -1:]], 2).flatten(1, 2)
                rates = torch.cat([rates, rates * rates[-1]])
            vectors = layer["norm"](vectors + self.drop(layer["out"](states).real))
            vectors = layer["feed_norm"](vectors + self.drop(layer["feed"](vectors)))
        return vectors[:, :events]


class AttentionOverStates(nn.Module):
    """NARM: ``nn.GRU``, and of every two of its states a sigmoid of their sum."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.recurrence = Recurrence(ours, nn.GRU)
        self.query = nn.Linear(ours.hidden, ours.attention_dim, bias=False)
        self.key = nn.Linear(ours.hidden, ours.attention_dim, bias=False)
        self.weigh = nn.Linear(ours.attention_dim, 1, bias=False)
        self.norm = nn.LayerNorm(ours.hidden)
        self.mix = nn.Linear(2 * ours.hidden, ours.dim)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        states = self.recurrence(events_BTD, lengths_B)
        both = self.query(states).unsqueeze(2) + self.key(states).unsqueeze(1)
        local = self.weigh(torch.sigmoid(both)).squeeze(3).tril() @ states
        return self.mix(torch.cat([states, self.norm(local)], 2))
