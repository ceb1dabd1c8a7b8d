"""A search in a long history, and attention to the events that it found."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import TargetAttention
from torchrec_ext.errors import InputError
from torchrec_ext.float_weights import float_weights
from torchrec_ext.padding import at_least_one_event, real_events

_AGES = 16
"""Buckets of an event's age; the last begins at 32,768 events."""


class SIM(TargetAttention):
    """Search-based interest model: the events most relevant to the candidate, and attention to them alone.

    From "Search-based User Interest Modeling with Lifelong Sequential Behavior Data for Click-Through Rate
    Prediction" (Pi et al. 2020). The general search unit (section 3.2) keeps ``top_k`` events. Its hard
    search, with ``match``, keeps the newest ones whose item shares a value of a feature, the category in the
    paper, with the candidate. Its soft search, without, scores each event by ``r_i = (W_b e_i) . (W_a e_a)``,
    where e_a is the candidate, and keeps the best. The exact search unit (section 3.3) reads ``z_i``, the
    event beside a vector of its age, and has for each head the softmax over these events of
    ``(W_bh z_i) . (W_ah e_a)``, and the sum of the ``z_i`` with these weights.

    The paper trains the soft search by a second loss, that of a network which reads ``sum_i r_i e_i`` over
    the whole history. A target attention gets no labels, so here that sum is a part of the result, and the
    ranker's loss trains the search. An age is the number of events back from the candidate, in buckets that
    double, not the time between them, because a target attention gets no times. The paper reads recent
    events by DIEN besides.

    The cost of the soft search grows with the length T of a history by ``T * dim`` for each candidate; all
    else depends on ``top_k``. A ranker passes as many events as its ``max_length``.

    Args:
        dim: D, width of an event and of the candidate; ``out_dim`` is ``heads * (dim + age_dim)``, and
            ``dim`` more for the soft search.
        top_k: number of events that the search keeps.
        heads: number of attention heads.
        age_dim: width of an age's vector.
        match: categorical side feature of the items, such as ``"item_category"``, for the hard search; None
            searches softly.

    Example:
        >>> attention = SIM(dim=8, top_k=3)
        >>> attention(torch.rand(2, 8), torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 40])
        >>> hard, same_category = SIM(dim=8, match="item_category"), torch.rand(2, 5) < 0.5
        >>> hard(torch.rand(2, 8), torch.rand(2, 5, 8), torch.tensor([5, 3]), same_category).shape
        torch.Size([2, 32])
    """

    least_ages: Tensor

    def __init__(
        self, dim: int, top_k: int = 50, heads: int = 2, age_dim: int = 8, match: str | None = None
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, top_k=top_k, heads=heads, age_dim=age_dim)
        self.dim = dim
        self.top_k = top_k
        self.heads = heads
        self.age_dim = age_dim
        self.match = match
        self.out_dim = heads * (dim + age_dim)
        if match is None:
            self.out_dim += dim
            self.search_target = nn.Linear(dim, dim, bias=False)
            self.search_event = nn.Linear(dim, dim, bias=False)
        self.target = nn.Linear(dim, heads * dim, bias=False)
        self.event = nn.Linear(dim + age_dim, heads * dim, bias=False)
        self.ages = nn.Embedding(_AGES, age_dim)
        nn.init.normal_(self.ages.weight, std=0.02)
        self.register_buffer("least_ages", 2 ** torch.arange(1, _AGES), persistent=False)

    def forward(
        self,
        target_BD: Tensor,
        events_BTD: Tensor,
        lengths_B: Tensor,
        matches_BT: Tensor | None = None,
    ) -> Tensor:
        """Candidates and histories to interests.

        Args:
            target_BD: ``(B, D)`` candidates.
            events_BTD: ``(B, T, D)`` events, oldest first.
            lengths_B: ``(B,)`` integer lengths.
            matches_BT: ``(B, T)`` bool, the events that the hard search may keep; None for the soft search.

        Returns:
            ``(B, out_dim)``.
        """
        searched, _, shares_BHK, kept_BKZ = self._attend(target_BD, events_BTD, lengths_B, matches_BT)
        return torch.cat([*searched, (shares_BHK @ kept_BKZ).flatten(1)], 1)

    def event_weights(
        self,
        target_BD: Tensor,
        events_BTD: Tensor,
        lengths_B: Tensor,
        matches_BT: Tensor | None = None,
    ) -> Tensor:
        """The arguments of ``forward`` to ``(B, T)`` weights: the mean over heads, 0 if not found."""
        _, places_BK, shares_BHK, _ = self._attend(target_BD, events_BTD, lengths_B, matches_BT)
        weights_BT = shares_BHK.new_zeros(at_least_one_event(events_BTD).shape[:2])
        return weights_BT.scatter_add(1, places_BK, shares_BHK.mean(1))[:, : events_BTD.shape[1]]

    def _attend(
        self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor, matches_BT: Tensor | None
    ) -> tuple[list[Tensor], Tensor, Tensor, Tensor]:
        """The searched sum if soft, the ``(B, K)`` places found, their ``(B, H, K)`` weights and vectors."""
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (target_BD.shape[0], "events", self.dim))
        expect_shape("lengths_B", lengths_B, (target_BD.shape[0],))
        if self.match is not None:
            if matches_BT is None:
                raise InputError(
                    f"matches_BT is None, but match={self.match!r} searches for them; pass a tensor"
                )
            expect_shape("matches_BT", matches_BT, (events_BTD.shape[0], events_BTD.shape[1]))
        events_BTD = at_least_one_event(events_BTD)
        real_BT = real_events(events_BTD, lengths_B)
        searched = []
        if matches_BT is None or self.match is None:
            # (W_b e) . q = e . (W_b^T q): the candidate is mapped, not each event.
            query_BD = self.search_target(target_BD) @ float_weights(self.search_event)[0]
            scores_BT = (events_BTD @ query_BD.unsqueeze(2)).squeeze(2)
            searched.append((scores_BT.masked_fill(~real_BT, 0.0).unsqueeze(1) @ events_BTD).squeeze(1))
        else:
            real_BT = real_BT & at_least_one_event(matches_BT.unsqueeze(2)).squeeze(2)
            scores_BT = real_BT.cumsum(1).float()  # the newer, the larger
        places_BK, found_BK = _best(scores_BT, real_BT, self.top_k)
        ages_BK1 = lengths_B.unsqueeze(1).sub(places_BK).unsqueeze(2)
        age_BKA = self.ages((ages_BK1 >= self.least_ages).sum(2))
        kept_BKD = events_BTD.gather(1, places_BK.unsqueeze(2).expand(-1, -1, self.dim))
        kept_BKZ = torch.cat([kept_BKD, age_BKA], 2)
        of_event_HDZ = float_weights(self.event)[0].unflatten(0, (self.heads, self.dim))
        of_target_BHD = self.target(target_BD).unflatten(1, (self.heads, self.dim))
        query_BHZ = torch.einsum("bhd,hdz->bhz", of_target_BHD, of_event_HDZ)
        missing_B1K = ~found_BK.unsqueeze(1)
        # Not -inf: the softmax of an empty history would be NaN.
        shares_BHK = (query_BHZ @ kept_BKZ.transpose(1, 2)).masked_fill(missing_B1K, -1e4).softmax(2)
        return searched, places_BK, shares_BHK.masked_fill(missing_B1K, 0.0), kept_BKZ


def _best(scores_BT: Tensor, real_BT: Tensor, top_k: int) -> tuple[Tensor, Tensor]:
    """``(B, K)`` places of the best real events, 0 if there are fewer, and ``(B, K)`` bool, True if real."""
    scores_BT = scores_BT.detach().masked_fill(~real_BT, -torch.inf)
    # As many more as there may be too few: torch.export cannot branch on which of T and K is larger.
    places_BK = functional.pad(scores_BT, (0, top_k), value=-torch.inf).topk(top_k, 1).indices
    found_BK = functional.pad(real_BT, (0, top_k)).gather(1, places_BK)
    return places_BK.masked_fill(~found_BK, 0), found_BK
