"""A mean that forgets."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import StreamingEncoder


class DecayingMean(StreamingEncoder):
    """Each state keeps a share of the one before it and adds the new event's."""

    causal = True
    cannot = {
        "fx_trace_gives_the_same": "its loop over the events cannot be traced by symbols",
        "export_leaves_the_number_of_events_open": "its loop over the events is unrolled",
    }

    def __init__(self, dim: int, keep: float = 0.5) -> None:
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim = dim
        self.keep = keep
        self.out_dim = dim

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states past a length mean nothing."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        state, states = self.initial_state(events_BTD.shape[0]), []
        for event_BD in events_BTD.unbind(1):
            state, output = self.step(state, event_BD)
            states.append(output)
        return torch.stack(states, dim=1) if states else torch.zeros_like(events_BTD)

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, D)`` zeros."""
        return torch.zeros(batch_size, self.dim)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """A ``(B, D)`` state and the next event to the new state, twice."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        state = self.keep * state + (1 - self.keep) * event_BD
        return state, state
