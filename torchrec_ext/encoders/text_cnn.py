"""Convolutions of several heights and the largest value of each filter."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._rows import to_histories, to_rows, windows
from torchrec_ext.errors import InputError


class TextCNN(StreamingEncoder):
    """Filters that span a few consecutive events, and the largest value of each over all places.

    From "Convolutional Neural Networks for Sentence Classification" (Kim 2014), section 2, where the events
    are the words of a sentence: a filter of height h has ``c_i = relu(w . x_{i:i+h-1} + b)`` at each place
    (equation 2), and the largest ``c_i`` is its output. Places before the first event count as zeros, as in
    the author's code, so that a filter may be higher than a text. Here events are scaled to variance 1, and
    the paper's linear layer of classes is left out.

    State t is that of events 0 to t, so a history is learnt in one pass. The vector of a text is the state of
    its last word; ``poolers`` of a model reads the words of a feature so.

    Args:
        dim: D, width of an event vector.
        filters: number of filters of each height; ``out_dim`` is that times the number of heights.
        heights: numbers of events that a filter spans.
        dropout: share of components of the states zeroed in training.

    Example:
        >>> from torchrec_ext.embeddings import last_state
        >>> words_BTD, lengths_B = torch.rand(2, 5, 8), torch.tensor([5, 3])
        >>> last_state(TextCNN(dim=8, filters=10)(words_BTD, lengths_B), lengths_B).shape
        torch.Size([2, 30])
    """

    causal = True
    anchor: Tensor

    def __init__(
        self, dim: int, filters: int = 100, heights: tuple[int, ...] = (3, 4, 5), dropout: float = 0.5
    ) -> None:
        super().__init__()
        heights = tuple(heights)
        if not heights:
            raise InputError("heights should hold at least one height, such as (3, 4, 5), received ()")
        expect_at_least(1, dim=dim, filters=filters, heights=min(heights))
        expect_dropout(dropout)
        self.dim = dim
        self.filters = filters
        self.heights = heights
        self.dropout = dropout
        self.window = max(heights)
        self.out_dim = filters * len(heights)
        self.convolutions = nn.ModuleList(nn.Linear(height * dim, filters) for height in heights)
        self.drop = Dropout(dropout)
        # Its device is that of the initial state, also after quantization; its value is never read.
        self.register_buffer("anchor", torch.zeros(0), persistent=False)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, out_dim)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        rows_ND, since_N, place_N = to_rows(events_BTD, lengths_B)
        found_NF = self._convolve(windows(rows_ND, since_N, tuple(range(self.window - 1, 0, -1))))
        return self.drop(_running_maximum(to_histories(found_NF, place_N, events_BTD)))

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """``(B, window - 1, D)`` zeros, which hold the newest events, and ``(B, out_dim)`` largest values."""
        device = self.anchor.device
        recent_BWD = torch.zeros(batch_size, self.window - 1, self.dim, device=device)
        return recent_BWD, torch.zeros(batch_size, self.out_dim, device=device)

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Newest events, largest values and next ``(B, D)`` event to the new ones and ``(B, out_dim)``."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        seen_BWD = torch.cat([state[0], event_BD.unsqueeze(1)], 1)
        best_BF = torch.maximum(state[1], self._convolve(seen_BWD.flatten(1)))
        return (seen_BWD[:, 1:], best_BF), self.drop(best_BF)

    def _convolve(self, seen_NK: Tensor) -> Tensor:
        """The newest ``window`` events, side by side, to ``(N, out_dim)``, none of them negative."""
        scaled_NK = seen_NK * self.dim**0.5
        found = [
            layer(scaled_NK[:, -height * self.dim :])
            for height, layer in zip(self.heights, self.convolutions, strict=True)
        ]
        return torch.cat(found, 1).relu()


def _running_maximum(found_BTF: Tensor) -> Tensor:
    return found_BTF.cummax(1).values
