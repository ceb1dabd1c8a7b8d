"""The weighted mean of the events up to each one, with learnt weights."""

import math

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.padding import real_events

_MOST = 40.0
"""Largest score, whose exponential and sums of it are floats; a tanh keeps scores far below it."""


class AttentionPool(StreamingEncoder):
    """Additive attention: a small network scores each event, and their softmax weights the mean.

    From "Hierarchical Attention Networks for Document Classification" (Yang et al. 2016), section 2.2,
    equations 5 to 7, where the events are the words of a sentence: ``u_i = tanh(W e_i + b)``, the weights are
    the softmax of ``u_i . u``, where u is learnt, and the result is the weighted sum of the ``e_i``. The
    paper's recurrent layers are not included. Here events are scaled to variance 1 before they are scored.

    State t is that of events 0 to t, so a history is learnt in one pass. The vector of a text is the state of
    its last word; ``poolers`` of a model reads the words of a feature so.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        hidden: width of the layer that scores events; None takes ``dim``.

    Example:
        >>> from torchrec_ext.embeddings import last_state
        >>> words_BTD, lengths_B = torch.rand(2, 5, 8), torch.tensor([5, 3])
        >>> last_state(AttentionPool(dim=8)(words_BTD, lengths_B), lengths_B).shape
        torch.Size([2, 8])
    """

    causal = True
    anchor: Tensor

    def __init__(self, dim: int, hidden: int | None = None) -> None:
        super().__init__()
        hidden = dim if hidden is None else hidden
        expect_at_least(1, dim=dim, hidden=hidden)
        self.dim = dim
        self.hidden = hidden
        self.out_dim = dim
        self.inner = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        # Its device is that of the initial state, also after quantization; its value is never read.
        self.register_buffer("anchor", torch.zeros(0), persistent=False)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        weights_BT1 = self._weights(events_BTD)
        means_BTD = (weights_BT1 * events_BTD).cumsum(1) / weights_BT1.cumsum(1)
        return means_BTD.to(events_BTD.dtype)

    def event_weights(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """The arguments of ``forward`` to the ``(B, T)`` weights of the newest state; 0 at padding."""
        real_BT = real_events(events_BTD, lengths_B)
        weights_BT = self._weights(events_BTD).squeeze(2).masked_fill(~real_BT, 0.0)
        return weights_BT / weights_BT.sum(1, keepdim=True).clamp(min=math.exp(-_MOST))

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """``(B, D)`` weighted sums and ``(B, 1)`` sums of the weights of no event."""
        zeros = torch.zeros(batch_size, self.dim + 1, device=self.anchor.device)
        return zeros[:, 1:], zeros[:, :1]

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Sums and the next ``(B, D)`` event to new sums and the ``(B, D)`` weighted mean."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        weights_B1 = self._weights(event_BD)
        sums_BD, totals_B1 = state[0] + weights_B1 * event_BD, state[1] + weights_B1
        return (sums_BD, totals_B1), (sums_BD / totals_B1).to(event_BD.dtype)

    def _weights(self, events: Tensor) -> Tensor:
        """``(..., D)`` events to ``(..., 1)`` float32 exponentials of their scores."""
        return self.score(self.inner(events * self.dim**0.5).tanh()).float().clamp(-_MOST, _MOST).exp()
