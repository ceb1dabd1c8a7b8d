"""The mean of the events up to each one."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import StreamingEncoder


class MeanPool(StreamingEncoder):
    """State t is the mean of events 0 to t; a baseline without parameters.

    Args:
        dim: D, width of an event vector.

    Example:
        >>> events = torch.tensor([[[2.0], [4.0], [0.0]]])
        >>> MeanPool(dim=1)(events, torch.tensor([2]))[0, :2, 0]
        tensor([2., 3.])
    """

    causal = True
    anchor: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        expect_at_least(1, dim=dim)
        self.dim = dim
        self.out_dim = dim
        # Its device is that of the initial state; its value is never read.
        self.register_buffer("anchor", torch.zeros(0), persistent=False)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        counts_T1 = torch.arange(1, events_BTD.shape[1] + 1, device=events_BTD.device).unsqueeze(1)
        return (events_BTD.float().cumsum(1) / counts_T1).to(events_BTD.dtype)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """``(B, D)`` sums and ``(B, 1)`` counts of no event."""
        zeros = torch.zeros(batch_size, self.dim + 1, device=self.anchor.device)
        return zeros[:, 1:], zeros[:, :1]

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Sums, counts and the next ``(B, D)`` event to new sums, new counts and the ``(B, D)`` mean."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        sums_BD, counts_B1 = state[0] + event_BD, state[1] + 1
        return (sums_BD, counts_B1), (sums_BD / counts_B1).to(event_BD.dtype)
