"""Several interests of a history, to which its events are routed."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import MultiInterestEncoder
from torchrec_ext.encoders._recency import recency
from torchrec_ext.padding import real_events

_NEVER = -3e4
"""A routing logit whose softmax is 0, within float16."""


class MIND(MultiInterestEncoder):
    """Several interests by dynamic routing: each event joins the interests that it agrees with.

    From "Multi-Interest Network with Dynamic Routing for Recommendation at Tmall" (Li et al. 2019), section
    3.3 and algorithm 1, behaviour-to-interest routing. One bilinear map S serves all events and interests. In
    each of ``iterations`` rounds ``w_ij`` is the softmax of the routing logits ``b_ij`` over the interests j,
    interest ``u_j`` is ``squash(sum_i w_ij S e_i)``, and ``b_ij`` grows by ``u_j . S e_i``. Here gradients
    pass through the sum of the last round, not through the logits.

    The first logits are normal draws that are never learnt; without them all interests would be the same. The
    paper draws them anew for each user. Here they are drawn once, when the module is built, from torch's
    generator, for each interest and each place of an event, counted back from the newest: one seed gives one
    module, a history always has the same interests, and a checkpoint holds the draws. Events older than the
    newest ``max_length`` share the last place.

    A history of T events has ``max(1, min(K, log2(T)))`` interests, rounded down. The others repeat the
    first, so the best of K is the best of these. The model chooses the interest that a next item is learnt
    from, which is the paper's label-aware attention with an infinite power. For the layers that the paper has
    above the interests and the user's features, use ``query_hidden`` and ``query_fields`` of ``TwoTower``.

    Args:
        dim: D, width of an event vector and of an interest, which is ``out_dim``.
        num_interests: K, the most interests of a history.
        iterations: rounds of routing.
        adaptive: whether a short history has fewer interests.
        max_length: number of places that have routing logits of their own.

    Example:
        >>> interests_BKD = MIND(dim=8)(torch.rand(2, 9, 8), torch.tensor([9, 3]))
        >>> interests_BKD.shape, len(interests_BKD[0].unique(dim=0)), len(interests_BKD[1].unique(dim=0))
        (torch.Size([2, 4, 8]), 3, 1)
    """

    first_logits: Tensor
    least_events: Tensor

    def __init__(
        self,
        dim: int,
        num_interests: int = 4,
        iterations: int = 3,
        adaptive: bool = True,
        max_length: int = 200,
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, num_interests=num_interests, iterations=iterations, max_length=max_length)
        self.dim = dim
        self.num_interests = num_interests
        self.iterations = iterations
        self.adaptive = adaptive
        self.max_length = max_length
        self.out_dim = dim
        self.bilinear = nn.Linear(dim, dim, bias=False)
        self.register_buffer("first_logits", torch.randn(max_length, num_interests))
        needed = [0] + [2 ** (k + 1) if adaptive else 0 for k in range(1, num_interests)]
        self.register_buffer("least_events", torch.tensor(needed), persistent=False)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, K, D)``; times are ignored.

        All interests of an empty history are zeros.
        """
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        mapped_BTD = self.bilinear(events_BTD)
        fixed_BTD = mapped_BTD.detach()
        padding_BT1 = ~real_events(events_BTD, lengths_B).unsqueeze(2)
        used_BK = lengths_B.unsqueeze(1) >= self.least_events
        first_BTK = self.first_logits[recency(events_BTD, lengths_B, self.max_length)]
        logits_BTK = first_BTK.masked_fill(~used_BK.unsqueeze(1), _NEVER)
        for _ in range(self.iterations - 1):
            interests_BKD = _squash(_shares(logits_BTK, padding_BT1) @ fixed_BTD)
            logits_BTK = logits_BTK + fixed_BTD @ interests_BKD.transpose(1, 2)
        interests_BKD = _squash(_shares(logits_BTK, padding_BT1) @ mapped_BTD)
        return torch.where(used_BK.unsqueeze(2), interests_BKD, interests_BKD[:, :1])


def _shares(logits_BTK: Tensor, padding_BT1: Tensor) -> Tensor:
    """``(B, K, T)`` shares of each event that the interests take; none of padding."""
    return logits_BTK.softmax(2).masked_fill(padding_BT1, 0.0).transpose(1, 2)


def _squash(vectors: Tensor) -> Tensor:
    """Keeps the direction and maps the length n to ``n^2 / (1 + n^2)``."""
    squares = vectors.square().sum(-1, keepdim=True)
    return vectors * ((squares + 1e-12).sqrt() / (1 + squares))
