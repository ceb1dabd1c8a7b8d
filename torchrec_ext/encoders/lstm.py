"""A recurrent network with a memory cell over the history."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.dynamic_length import is_dynamic, lstm
from torchrec_ext.padding import at_least_one_event

_QUANTIZED = torch.zeros(0)
"""Replaces the weights of a dynamically quantized network, which has no parameters and runs on a CPU."""


class LSTM(StreamingEncoder):
    """Long short-term memory, read from the oldest event to the newest.

    From "Long Short-Term Memory" (Hochreiter, Schmidhuber 1997). As in ``nn.LSTM``, there are forget gates,
    which were introduced later, and no connections from a cell to the gates.

    Args:
        dim: D, width of an event vector.
        hidden: width of a state, which is ``out_dim``; None takes twice ``dim``.
        layers: number of layers; each reads the states of the layer below.
        dropout: share of components zeroed in training, of the events, of the states between two layers and
            of the output states.

    Example:
        >>> encoder = LSTM(dim=8, hidden=16)
        >>> encoder(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 16])
        >>> state, output_BH = encoder.step(encoder.initial_state(2), torch.rand(2, 8))
        >>> output_BH.shape
        torch.Size([2, 16])
    """

    causal = True

    def __init__(self, dim: int, hidden: int | None = None, layers: int = 1, dropout: float = 0.2) -> None:
        super().__init__()
        hidden = 2 * dim if hidden is None else hidden
        expect_at_least(1, dim=dim, hidden=hidden, layers=layers)
        expect_dropout(dropout)
        self.dim = dim
        self.hidden = hidden
        self.layers = layers
        self.dropout = dropout
        self.out_dim = hidden
        between = dropout if layers > 1 else 0.0
        self.recurrence = nn.LSTM(dim, hidden, layers, batch_first=True, dropout=between)
        self.drop = Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, hidden)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        if not self.training and is_dynamic(events_BTD.shape[1]):
            events_TBD = events_BTD.to(self._weight.dtype).transpose(0, 1)
            return lstm(self.recurrence.all_weights, events_TBD).transpose(0, 1)
        states_BTH, _ = self._recur(self.drop(at_least_one_event(events_BTD)), None)
        return self.drop(states_BTH[:, : events_BTD.shape[1]])

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, layers, 2, hidden)`` zeros, output state and cell; one row for each user."""
        return self._weight.new_zeros(batch_size, self.layers, 2, self.hidden)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, layers, 2, hidden)`` state and next ``(B, D)`` event to new state and ``(B, hidden)``."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state", state, (event_BD.shape[0], self.layers, 2, self.hidden))
        before, cells = state.permute(2, 1, 0, 3).contiguous().unbind(0)
        outputs, after = self._recur(self.drop(event_BD).unsqueeze(1), (before, cells))
        return torch.stack(after).permute(2, 1, 0, 3), self.drop(outputs.squeeze(1))

    @property
    def _weight(self) -> Tensor:
        """Any weight: its dtype and device are those of the states."""
        return next(self.parameters(), _QUANTIZED)

    def _recur(
        self, events_BTD: Tensor, state: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        # A CPU without bfloat16 instructions runs the recurrence under autocast 15 times slower.
        with torch.autocast("cpu", enabled=False):
            return self.recurrence(events_BTD.to(self._weight.dtype), state)
