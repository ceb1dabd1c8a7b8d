"""Several interests of a history, each a weighted mean of its events."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import MultiInterestEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._recency import recency
from torchrec_ext.padding import real_events

_NEVER = -3e4
"""A score whose softmax is 0, within float16. Minus infinity would give NaN for an empty history."""


class ComiRec(MultiInterestEncoder):
    """Several interests by self-attention: each interest has its own weights of the events.

    From "Controllable Multi-Interest Framework for Recommendation" (Cen et al. 2020), its variant
    ComiRec-SA. Here positions count back from the newest event; events are scaled to variance 1 before they
    are scored, and the means are layer-normalised. The model chooses the interest that a next item is
    learnt from. The paper's aggregation of lists for diversity is not included.

    Events older than the newest ``max_length`` share the last position and are weighted like the others.

    Args:
        dim: D, width of an event vector and of an interest, which is ``out_dim``.
        num_interests: K.
        hidden: width of the layer that scores events; None takes four times ``dim``, as in the paper.
        dropout: share of components of the events zeroed in training.
        max_length: M, number of learnt positions.

    Example:
        >>> ComiRec(dim=8)(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 4, 8])
    """

    def __init__(
        self,
        dim: int,
        num_interests: int = 4,
        hidden: int | None = None,
        dropout: float = 0.2,
        max_length: int = 200,
    ) -> None:
        super().__init__()
        hidden = 4 * dim if hidden is None else hidden
        expect_at_least(1, dim=dim, num_interests=num_interests, hidden=hidden, max_length=max_length)
        expect_dropout(dropout)
        self.dim = dim
        self.num_interests = num_interests
        self.hidden = hidden
        self.dropout = dropout
        self.max_length = max_length
        self.out_dim = dim
        self.positions = nn.Embedding(max_length, dim)
        self.inner = nn.Linear(dim, hidden)
        self.score = nn.Linear(hidden, num_interests, bias=False)
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, K, D)``; times are ignored.

        All empty histories have the same interests.
        """
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        dropped_BTD = self.drop(events_BTD)
        positions_BTD = self.positions(recency(events_BTD, lengths_B, self.max_length))
        placed_BTD = torch.add(positions_BTD, dropped_BTD, alpha=self.dim**0.5)
        scores_BKT = self.score(self.inner(placed_BTD).tanh()).transpose(1, 2)
        padding_B1T = ~real_events(events_BTD, lengths_B).unsqueeze(1)
        shares_BKT = scores_BKT.masked_fill(padding_B1T, _NEVER).softmax(2)
        means_BKD = shares_BKT.masked_fill(padding_B1T, 0) @ dropped_BTD
        return self.norm(means_BKD * self.dim**0.5)
