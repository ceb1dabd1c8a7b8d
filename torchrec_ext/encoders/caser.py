"""Convolutions over the window of the newest events, as over an image."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._rows import earlier, to_histories, to_rows, windows
from torchrec_ext.float_weights import float_weights


class Caser(StreamingEncoder):
    """Horizontal and vertical convolutions over a window of the newest events.

    From "Personalized Top-N Sequential Recommendation via Convolutional Sequence Embedding" (Tang, Wang
    2018). The paper reads one window for each user, the newest. Here every event has a window, the event and
    the ``window - 1`` events before it, with zeros before the first event, so training learns from all
    events. Further differences: dropout is applied to events and states, not to the filters' outputs; events
    are scaled to variance 1; and a layer norm replaces the last ReLU. The paper also concatenates a vector
    of the user: add a user field to the query for that.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        window: number of newest events that a state depends on.
        horizontal_filters: number of filters of each height from 1 to ``window``; a filter of height h spans
            h consecutive event vectors, and its largest value in the window is taken.
        vertical_filters: number of filters with one weight for each event of the window: weighted sums of the
            event vectors.
        dropout: share of components zeroed in training, of the events and of the states.

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
        self,
        dim: int,
        window: int = 5,
        horizontal_filters: int = 16,
        vertical_filters: int = 4,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        expect_at_least(
            1,
            dim=dim,
            window=window,
            horizontal_filters=horizontal_filters,
            vertical_filters=vertical_filters,
        )
        expect_dropout(dropout)
        self.dim = dim
        self.window = window
        self.horizontal_filters = horizontal_filters
        self.vertical_filters = vertical_filters
        self.dropout = dropout
        self.out_dim = dim
        heights = range(1, window + 1)
        self.rows = nn.ParameterList(torch.empty(horizontal_filters, height * dim) for height in heights)
        self.rows_bias = nn.Parameter(torch.zeros(window * horizontal_filters))
        self.columns = nn.Parameter(torch.empty(vertical_filters, window))
        for weight in (*self.rows, self.columns):
            nn.init.uniform_(weight, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)
        self.mix_rows = nn.Linear(window * horizontal_filters, dim)
        self.mix_columns = nn.Linear(vertical_filters * dim, dim, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        rows_ND, since_N, place_N = to_rows(events_BTD, lengths_B)
        return to_histories(self._read(self.drop(rows_ND * self.dim**0.5), since_N), place_N, events_BTD)

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, window - 1, D)`` zeros, which hold the newest events; one row for each user."""
        return self.columns.new_zeros(batch_size, self.window - 1, self.dim)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, window - 1, D)`` state and next ``(B, D)`` event to new state and ``(B, D)`` output."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state", state, (event_BD.shape[0], self.window - 1, self.dim))
        seen = torch.cat([state, self.drop(event_BD * self.dim**0.5).unsqueeze(1)], 1)
        since = torch.arange(self.window, device=seen.device).repeat(seen.shape[0])
        return seen[:, 1:], self._read(seen.flatten(0, 1), since)[self.window - 1 :: self.window]

    def _read(self, rows_ND: Tensor, since_N: Tensor) -> Tensor:
        """``(N, D)`` events and the number of earlier events of each to ``(N, D)`` states.

        All filters are one matrix product of the windows. There is no activation between a vertical filter
        and the last layer, so their weights are multiplied first. A horizontal filter is computed once at
        the event where it ends, and shared by all windows that contain it.
        """
        filters = self.window * self.horizontal_filters
        seen_NK = windows(rows_ND, since_N, tuple(range(self.window - 1, 0, -1)))
        rows = [functional.pad(row, (self.window * self.dim - row.shape[1], 0)) for row in self.rows]
        columns = float_weights(self.mix_columns)[0].unflatten(1, (self.vertical_filters, self.dim))
        columns = torch.einsum("vw,ovd->owd", self.columns, columns).flatten(1)
        found_NO = functional.linear(seen_NK, torch.cat([*rows, columns]))
        found, mixed = found_NO.split([filters, self.dim], 1)
        best, done = found, []
        for back in range(1, self.window):  # a filter of smaller height has more positions in the window
            lower = filters - back * self.horizontal_filters
            done.append(best[:, lower:])
            best, before = best[:, :lower], earlier(found[:, :lower], since_N, back)
            best = torch.where(best > before, best, before)  # its backward pass is faster than maximum's
        rows_NR = (torch.cat([best, *reversed(done)], 1) + self.rows_bias).relu_()
        return self.drop(self.norm(self.mix_rows(rows_NR) + mixed))
