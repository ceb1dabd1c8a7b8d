"""Convolutions over the window of newest events, seen as an image."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder


class Caser(StreamingEncoder):
    """Filters over a window of events: whole rows that follow each other, and columns.

    From "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding" (Tang, Wang
    2018). The paper reads one window a user, the newest; here there is one at every event, itself and
    the ``window - 1`` before it, zeros standing before the first, so that training learns from all of
    them. Events and states are dropped in place of what the filters give; the events are scaled up to
    variance 1, and a layer norm follows the last layer in place of ReLU. The user's own vector, which
    the paper sets beside the state, is a query field's job.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        window: number of newest events that a state depends on.
        horizontal: number of filters of each height from 1 to ``window``: weights of so many whole
            vectors in a row, of which the largest value in the window counts.
        vertical: number of filters of one weight an event of the window: weighted sums of its vectors.
        dropout: share of the components zeroed in training, of the events and of the states.

    Example:
        >>> encoder = Caser(dim=8)
        >>> encoder(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 8])
        >>> state, output_BD = encoder.step(encoder.initial_state(2), torch.rand(2, 8))
        >>> output_BD.shape
        torch.Size([2, 8])
    """

    causal = True

    def __init__(
        self, dim: int, window: int = 5, horizontal: int = 16, vertical: int = 4, dropout: float = 0.2
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, window=window, horizontal=horizontal, vertical=vertical)
        expect_dropout(dropout)
        self.dim = dim
        self.window = window
        self.horizontal = horizontal
        self.vertical = vertical
        self.dropout = dropout
        self.out_dim = dim
        heights = range(1, window + 1)
        self.rows = nn.ParameterList(torch.empty(horizontal, height * dim) for height in heights)
        self.rows_bias = nn.Parameter(torch.zeros(window * horizontal))
        self.columns = nn.Parameter(torch.empty(vertical, window))
        for weight in (*self.rows, self.columns):
            nn.init.uniform_(weight, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)
        self.mix_rows = nn.Linear(window * horizontal, dim)
        self.mix_columns = nn.Linear(vertical * dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states past a length mean nothing."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        dropped = self.drop(events_BTD * self.dim**0.5)
        return self._read(functional.pad(dropped, (0, 0, self.window - 1, 0)))

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, window - 1, D)`` zeros, where the newest events go; a user's state is a row."""
        return self.columns.new_zeros(batch_size, self.window - 1, self.dim)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, window - 1, D)`` state and next ``(B, D)`` event to new state and ``(B, D)`` output."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state", state, (event_BD.shape[0], self.window - 1, self.dim))
        seen = torch.cat([state, self.drop(event_BD * self.dim**0.5).unsqueeze(1)], 1)
        return seen[:, 1:], self._read(seen).squeeze(1)

    def _read(self, events: Tensor) -> Tensor:
        """``(B, window - 1 + T, D)`` events to the ``(B, T, D)`` states of the last T.

        All filters are one product of the windows. No activation stands between a column filter and
        the last layer, so the two are multiplied first; a row filter is found once for all the windows
        that it lies in, at the event where it ends.
        """
        reach, filters = self.window - 1, self.window * self.horizontal
        padded = functional.pad(events, (0, 0, reach, 0))
        windows = torch.cat([padded[:, at : at - reach or None] for at in range(self.window)], 2)
        rows = [functional.pad(row, (self.window * self.dim - row.shape[1], 0)) for row in self.rows]
        columns = self.mix_columns.weight.unflatten(1, (self.vertical, self.dim))
        columns = torch.einsum("vw,ovd->owd", self.columns, columns).flatten(1)
        found, mixed = functional.linear(windows, torch.cat([*rows, columns])).split([filters, self.dim], 2)
        best = found[:, reach:]
        for back in range(1, self.window):  # a filter that is lower has more places in the window
            lower = filters - back * self.horizontal
            earlier = found[:, reach - back : -back, :lower]
            best = torch.cat([torch.maximum(best[..., :lower], earlier), best[..., lower:]], 2)
        rows_out = self.mix_rows(functional.relu(best + self.rows_bias))
        return self.drop(self.norm(rows_out + mixed[:, reach:]))
