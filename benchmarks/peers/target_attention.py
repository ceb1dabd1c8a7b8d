"""Attention of a candidate over a history: torch's layers, and the recurrences step by step."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class WeighingNetwork(nn.Module):
    """DIN: event, candidate and their product side by side through linear layers to a weight."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        widths = (3 * ours.dim, *ours.hidden)
        layers: list[nn.Module] = []
        for before, after in zip(widths, ours.hidden, strict=False):
            layers += [nn.Linear(before, after), _PReLU(after)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` and ``(B, T, D)`` to ``(B, D)``."""
        target = target_BD.unsqueeze(1).expand_as(events_BTD)
        weights = self.layers(torch.cat([events_BTD, target, events_BTD * target], 2))
        return (weights.masked_fill(_padding(events_BTD, lengths_B).unsqueeze(2), 0.0) * events_BTD).sum(1)


class EvolvingInterests(nn.Module):
    """DIEN: ``nn.GRU``, an attention, and a second GRU whose update gate it scales, an event at a time."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        dim, hidden = ours.dim, ours.hidden
        self.hidden, self.weight = hidden, ours.auxiliary_weight
        self.extractor = nn.GRU(dim, dim, batch_first=True)
        self.bilinear = nn.Linear(dim, dim, bias=False)
        self.from_input = nn.Linear(dim, 3 * hidden)
        self.from_state = nn.Linear(hidden, 3 * hidden, bias=False)

    def forward_and_loss(
        self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``(B, D)`` and ``(B, T, D)`` to ``(B, hidden)`` and the auxiliary loss."""
        padding_BT = _padding(events_BTD, lengths_B)
        states_BTD, _ = self.extractor(events_BTD)
        scores_BT = torch.einsum("btd,bd->bt", states_BTD, self.bilinear(target_BD))
        weights_BT = scores_BT.masked_fill(padding_BT, -1e9).softmax(1)
        state = target_BD.new_zeros(len(target_BD), self.hidden)
        for at in range(events_BTD.shape[1]):
            of_input = self.from_input(states_BTD[:, at]).chunk(3, 1)
            of_state = self.from_state(state).chunk(3, 1)
            reset = torch.sigmoid(of_input[0] + of_state[0])
            update = torch.sigmoid(of_input[1] + of_state[1]) * weights_BT[:, at : at + 1]
            new = torch.tanh(of_input[2] + reset * of_state[2])
            new = (1 - update) * state + update * new
            state = torch.where(padding_BT[:, at : at + 1], state, new)
        return state, self._loss(states_BTD[:, :-1], events_BTD, padding_BT) * self.weight

    def _loss(self, states_BTD: Tensor, events_BTD: Tensor, padding_BT: Tensor) -> Tensor:
        real = ~padding_BT[:, 1:]
        others = events_BTD.roll(1, 0)[:, 1:]
        clicked = functional.logsigmoid((states_BTD * events_BTD[:, 1:]).sum(2))
        unclicked = functional.logsigmoid(-(states_BTD * others).sum(2))
        return -((clicked + unclicked) * real).sum() / real.sum()


class TransformerOverBoth(nn.Module):
    """BST: ``nn.TransformerEncoder`` over the events and the candidate after them."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.positions = nn.Embedding(1 + ours.max_length, ours.dim)
        layer = nn.TransformerEncoderLayer(
            ours.dim, ours.heads, ours.hidden, ours.dropout, functional.leaky_relu, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, ours.layers, enable_nested_tensor=False)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` and ``(B, T, D)`` to ``(B, 2 * D)``."""
        padding_BT = _padding(events_BTD, lengths_B)
        ages_BT = (lengths_B.unsqueeze(1) - torch.arange(events_BTD.shape[1], device=lengths_B.device)).clamp(
            1, self.positions.num_embeddings - 1
        )
        places = functional.pad(ages_BT, (0, 1))
        both = self.drop(torch.cat([events_BTD, target_BD.unsqueeze(1)], 1) + self.positions(places))
        states = self.layers(both, src_key_padding_mask=functional.pad(padding_BT, (0, 1)))
        events = states[:, :-1].masked_fill(padding_BT.unsqueeze(2), 0.0)
        return torch.cat([states[:, -1], events.sum(1) / lengths_B.unsqueeze(1)], 1)


class _PReLU(nn.Module):
    """``nn.PReLU`` over the last axis; torch applies it to the second one."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.activation = nn.PReLU(width)

    def forward(self, values: Tensor) -> Tensor:
        return self.activation(values.transpose(1, 2)).transpose(1, 2)


def _padding(events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
    return torch.arange(events_BTD.shape[1], device=lengths_B.device) >= lengths_B.unsqueeze(1)


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "bst": ("nn.TransformerEncoder", TransformerOverBoth),
    "dien": ("nn.GRU, loop of cells", EvolvingInterests),
    "din": ("cat, nn.Linear", WeighingNetwork),
}
