"""Bidirectional self-attention, trained by predicting hidden events."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import MaskedEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._recency import recency
from torchrec_ext.encoders._transformer_block import TransformerBlock
from torchrec_ext.errors import InputError
from torchrec_ext.padding import real_events


class BERT4Rec(MaskedEncoder):
    """A bidirectional transformer: each event attends to all events of the history.

    From "BERT4Rec: Sequential Recommendation with Bidirectional Encoder Representations from
    Transformer" (Sun et al. 2019). Differences from the paper: the layer norm stands before each branch, not
    after the sum; attention weights have no dropout; the feed-forward network is as wide as the input; and
    states are scored directly, without the paper's output layer and item biases. Positions count back from
    the newest event, as in the paper, which pads on the left. Their initial scale is that of the events.

    Events older than the newest ``max_length`` share the last position and are attended to like the others.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of layers.
        heads: number of attention heads, which divides ``dim``.
        hidden: width of the feed-forward networks; None takes ``dim``.
        dropout: share of components zeroed in training, of the input and of each layer's branches.
        max_length: M, number of learnt positions.
        masked_share: share of a window's events that training hides.

    Example:
        >>> encoder = BERT4Rec(dim=8)
        >>> events_BTD, hidden_BT = torch.rand(1, 3, 8), torch.tensor([[False, True, False]])
        >>> encoder(events_BTD, torch.tensor([3]), masked_BT=hidden_BT).shape
        torch.Size([1, 3, 8])
    """

    causal = False

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.2,
        max_length: int = 200,
        masked_share: float = 0.2,
    ) -> None:
        super().__init__()
        hidden = dim if hidden is None else hidden
        expect_at_least(1, dim=dim, layers=layers, heads=heads, hidden=hidden, max_length=max_length)
        expect_dropout(dropout)
        if not 0 < masked_share < 1:
            raise InputError(f"masked_share should be above 0 and below 1, received {masked_share}")
        self.dim = dim
        self.layers = layers
        self.heads = heads
        self.hidden = hidden
        self.dropout = dropout
        self.max_length = max_length
        self.masked_share = masked_share
        self.out_dim = dim
        self.hidden_event = nn.Parameter(torch.empty(dim))
        self.positions = nn.Embedding(max_length, dim)
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, heads, hidden, dropout, nn.GELU()) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)
        nn.init.normal_(self.hidden_event, std=dim**-0.5)
        # As large as the events: the position is the only information about a hidden event. With smaller
        # ones training ignores the order of events for many epochs.
        nn.init.normal_(self.positions.weight)

    def forward(
        self,
        events_BTD: Tensor,
        lengths_B: Tensor,
        times_BT: Tensor | None = None,
        masked_BT: Tensor | None = None,
    ) -> Tensor:
        """Events to states.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths; hidden events count.
            times_BT: ignored.
            masked_BT: ``(B, T)`` bool, True where a learnt vector replaces the event's vector.

        Returns:
            ``(B, T, D)`` states; states at padding are undefined.
        """
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        shown_BTD = _hide(events_BTD, masked_BT, self.hidden_event)
        positions_BTD = self.positions(recency(events_BTD, lengths_B, self.max_length))
        vectors_BTD = self.drop(torch.add(positions_BTD, shown_BTD, alpha=self.dim**0.5))
        # A softmax over no event would be NaN, so an empty history attends to one event of padding.
        seen_BT = real_events(events_BTD, lengths_B.clamp(min=1))
        for block in self.blocks:
            vectors_BTD = block(vectors_BTD, seen_BT=seen_BT)
        return self.norm(vectors_BTD)


@torch.fx.wrap
def _hide(events_BTD: Tensor, masked_BT: Tensor | None, vector_D: Tensor) -> Tensor:
    """The events, with the vector in place of hidden events."""
    if masked_BT is None:
        return events_BTD
    expect_shape("masked_BT", masked_BT, tuple(events_BTD.shape[:2]))
    return torch.where(masked_BT.unsqueeze(2), vector_D.to(events_BTD.dtype), events_BTD)
