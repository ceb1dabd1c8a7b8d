"""A gated recurrent network with attention from its newest state to earlier states."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dynamic_length import is_dynamic
from torchrec_ext.encoders.gru import GRU


class NARM(StreamingEncoder):
    """Gated recurrent units with attention: the newest state and a weighted sum of recent ones.

    From "Neural Attentive Session-based Recommendation" (Li et al. 2017). The paper attends to all states of
    a session; here attention covers the newest ``attention_window`` events, so that the cost grows linearly
    with the length of a history. Attention weights are computed in ``attention_dim`` components. A layer norm
    scales the sum, which grows with the number of events, to the size of a state. The output map and the
    scorer replace the paper's bilinear scores.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        hidden: H, width of a recurrent state; None takes twice ``dim``.
        layers: number of recurrent layers.
        attention_dim: A, number of components in which two states are compared; None takes half of ``dim``.
        attention_window: number of newest states attended to, that of the event itself included.
        dropout: share of components zeroed in training, of the events and of the recurrent states.

    Example:
        >>> encoder = NARM(dim=8)
        >>> encoder(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 8])
        >>> state, output_BD = encoder.step(encoder.initial_state(2), torch.rand(2, 8))
        >>> output_BD.shape
        torch.Size([2, 8])
    """

    causal = True

    def __init__(
        self,
        dim: int,
        hidden: int | None = None,
        layers: int = 1,
        attention_dim: int | None = None,
        attention_window: int = 50,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        hidden = 2 * dim if hidden is None else hidden
        attention_dim = (dim + 1) // 2 if attention_dim is None else attention_dim
        expect_at_least(1, dim=dim, hidden=hidden, layers=layers)
        expect_at_least(1, attention_dim=attention_dim, attention_window=attention_window)
        expect_dropout(dropout)
        self.dim = dim
        self.hidden = hidden
        self.layers = layers
        self.attention_dim = attention_dim
        self.attention_window = attention_window
        self.dropout = dropout
        self.out_dim = dim
        self.gru = GRU(dim, hidden, layers, dropout)
        self.query = nn.Linear(hidden, attention_dim, bias=False)
        self.key = nn.Linear(hidden, attention_dim, bias=False)
        self.weigh = nn.Linear(attention_dim, 1, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.mix = nn.Linear(2 * hidden, dim)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        states_BTH = self.gru(events_BTD, lengths_B)
        # Zeros before the first state add nothing to a weighted sum.
        padded_BRH = functional.pad(states_BTH, (0, 0, self.attention_window - 1, 0))
        keys_BTWA = _windows(self.key(padded_BRH), self.attention_window, events_BTD)
        weights_BTW = self._weights(states_BTH, keys_BTWA)
        return self._mixed(states_BTH, _shifted(weights_BTW) @ padded_BRH)

    def event_weights(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """The arguments of ``forward`` to the ``(B, T)`` weights of the newest state; 0 beyond the window."""
        states_BTH = self.gru(events_BTD, lengths_B)
        back_BT = lengths_B.unsqueeze(1) - torch.arange(events_BTD.shape[1], device=lengths_B.device)
        newest_BH = (states_BTH * (back_BT == 1).unsqueeze(2)).sum(1)
        seen_BT = (back_BT > 0) & (back_BT <= self.attention_window)
        return self._weights(newest_BH, self.key(states_BTH)).masked_fill(~seen_BT, 0.0)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The recurrent state, and ``(B, attention_window - 1, H)`` zeros, which hold the newest states."""
        recent = self.norm.weight.new_zeros(batch_size, self.attention_window - 1, self.hidden)
        return self.gru.initial_state(batch_size), recent

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Recurrent state, newest states and the next ``(B, D)`` event to the new ones and ``(B, D)``."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state[1]", state[1], (event_BD.shape[0], self.attention_window - 1, self.hidden))
        recurrent, newest_BH = self.gru.step(state[0], event_BD)
        seen_BWH = torch.cat([state[1], newest_BH.unsqueeze(1)], 1)
        weights_BW = self._weights(newest_BH, self.key(seen_BWH))
        local_BH = (weights_BW.unsqueeze(1) @ seen_BWH).squeeze(1)
        return (recurrent, seen_BWH[:, 1:]), self._mixed(newest_BH, local_BH)

    def _weights(self, states: Tensor, keys: Tensor) -> Tensor:
        """``(..., H)`` states and ``(..., W, A)`` keys to ``(..., W)``."""
        return self.weigh((self.query(states).unsqueeze(-2) + keys).sigmoid_()).squeeze(-1)

    def _mixed(self, states: Tensor, local: Tensor) -> Tensor:
        return self.mix(torch.cat([states, self.norm(local)], -1))


@torch.fx.wrap
def _windows(rows_BRA: Tensor, window: int, events_BTD: Tensor) -> Tensor:
    """``(B, T + W - 1, A)`` rows to the W newest at each of the T events, ``(B, T, W, A)``."""
    events = events_BTD.shape[1]
    if is_dynamic(events):  # a view whose windows overlap makes torch.export ask which is larger, T or W
        at_T = torch.arange(events, device=rows_BRA.device).unsqueeze(1)
        return rows_BRA[:, at_T + torch.arange(window, device=rows_BRA.device)]
    if not events:
        return rows_BRA.new_zeros(rows_BRA.shape[0], 0, window, rows_BRA.shape[2])
    return rows_BRA.unfold(1, window, 1).transpose(2, 3)


def _shifted(weights_BTW: Tensor) -> Tensor:
    """Shifts row t to the right by t, ``(B, T, W)`` to ``(B, T, T + W - 1)``, with zeros elsewhere."""
    batch, events, window = weights_BTW.shape
    padded = functional.pad(weights_BTW, (0, events)).flatten(1)
    return padded[:, :-events].view(batch, events, window + events - 1)


torch.fx.wrap("_shifted")  # its sizes are the batch's
