"""A gated recurrent network, and attention from its newest state to those before."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dynamic_length import is_dynamic
from torchrec_ext.encoders.gru import GRU


class NARM(StreamingEncoder):
    """Gated recurrent units; a state is mixed of the newest one and a weighted sum of the newest few.

    From "Neural Attentive Session-based Recommendation" (Li et al. 2017). The paper weighs all states of
    a session; here those of the newest ``attention_window`` events, so that the work of a long history
    grows with its length alone. The weights are found in fewer components than a state has, a layer
    norm brings the sum, which grows with the number of events, to the size of a state, and the paper's
    bilinear scores are the last map and the scorer.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        hidden: H, width of a recurrent state; None takes twice ``dim``.
        layers: number of recurrent layers.
        attention: A, number of components in which two states are compared; None takes half of ``dim``.
        attention_window: number of newest states that are weighed, that of the event itself included.
        dropout: share of the components zeroed in training, of the events and of the recurrent states.

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
        attention: int | None = None,
        attention_window: int = 50,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        hidden = 2 * dim if hidden is None else hidden
        attention = (dim + 1) // 2 if attention is None else attention
        expect_at_least(1, dim=dim, hidden=hidden, layers=layers)
        expect_at_least(1, attention=attention, attention_window=attention_window)
        expect_dropout(dropout)
        self.dim = dim
        self.hidden = hidden
        self.layers = layers
        self.attention = attention
        self.attention_window = attention_window
        self.dropout = dropout
        self.out_dim = dim
        self.gru = GRU(dim, hidden, layers, dropout)
        self.query = nn.Linear(hidden, attention, bias=False)
        self.key = nn.Linear(hidden, attention, bias=False)
        self.weigh = nn.Linear(attention, 1, bias=False)
        self.norm = nn.LayerNorm(hidden)
        self.mix = nn.Linear(2 * hidden, dim)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states past a length mean nothing."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        states_BTH = self.gru(events_BTD, lengths_B)
        # States of zeros stand before the first: whatever their weight, they add nothing.
        padded_BRH = functional.pad(states_BTH, (0, 0, self.attention_window - 1, 0))
        keys_BTWA = _windows(self.key(padded_BRH), self.attention_window, events_BTD)
        weights_BTW = self._weights(states_BTH, keys_BTWA)
        return self._mixed(states_BTH, _shifted(weights_BTW) @ padded_BRH)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """The recurrent state, and ``(B, attention_window - 1, H)`` zeros, where the newest ones go."""
        recent = self.norm.weight.new_zeros(batch_size, self.attention_window - 1, self.hidden)
        return self.gru.initial_state(batch_size), recent

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The recurrent state, the newest ones and the next ``(B, D)`` event to new ones and ``(B, D)``."""
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
    """Moves row t to the right by t, ``(B, T, W)`` to ``(B, T, T + W - 1)``, zeros standing elsewhere."""
    batch, events, window = weights_BTW.shape
    padded = functional.pad(weights_BTW, (0, events)).flatten(1)
    return padded[:, :-events].view(batch, events, window + events - 1)


torch.fx.wrap("_shifted")  # its sizes are the batch's
