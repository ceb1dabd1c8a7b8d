"""A transformer over the history and the candidate."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import TargetAttention
from torchrec_ext.dropout import Dropout
from torchrec_ext.errors import InputError
from torchrec_ext.padding import real_events


class BST(TargetAttention):
    """Behaviour sequence transformer: self-attention over the events and the candidate after them.

    From "Behavior Sequence Transformer for E-commerce Recommendation in Alibaba" (Chen et al. 2019). Each
    layer is the paper's: attention, two linear layers with LeakyReLU between them, dropout on both branches,
    and a layer norm after each sum. Differences: a position is the number of events back from the candidate,
    not the time between them, because a target attention gets no times; its vector is added to the event's
    vector, not concatenated. The paper concatenates the states of all positions, which fixes their number;
    here the output is the candidate's state and the mean of the events' states.

    Args:
        dim: D, width of an event and of the candidate; ``out_dim`` is twice that.
        layers: number of transformer layers.
        heads: number of attention heads, which divides ``dim``; the paper has 8.
        hidden: width between the two linear layers; None takes four times ``dim``.
        max_length: number of positions; older events share the last one.
        dropout: share of components zeroed in training.

    Example:
        >>> attention = BST(dim=8)
        >>> attention(torch.rand(2, 8), torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 16])
    """

    def __init__(
        self,
        dim: int,
        layers: int = 1,
        heads: int = 2,
        hidden: int | None = None,
        max_length: int = 200,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        hidden = 4 * dim if hidden is None else hidden
        expect_at_least(1, dim=dim, layers=layers, heads=heads, hidden=hidden, max_length=max_length)
        expect_dropout(dropout)
        if dim % heads:
            raise InputError(f"heads should divide dim, which is {dim}, received {heads}")
        self.dim = dim
        self.layers = layers
        self.heads = heads
        self.hidden = hidden
        self.max_length = max_length
        self.dropout = dropout
        self.out_dim = 2 * dim
        self.positions = nn.Embedding(1 + max_length, dim)  # 0 is the candidate's, 1 the newest event's
        nn.init.normal_(self.positions.weight, std=0.02)
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(dim, heads, hidden, dropout) for _ in range(layers))

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` candidates, ``(B, T, D)`` events and ``(B,)`` lengths to ``(B, 2 * D)`` interests."""
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (target_BD.shape[0], "events", self.dim))
        expect_shape("lengths_B", lengths_B, (target_BD.shape[0],))
        places_BS, real_BS = _places(events_BTD, lengths_B, self.max_length)
        states_BSD = torch.cat([events_BTD, target_BD.unsqueeze(1)], 1) + self.positions(places_BS)
        states_BSD = self.drop(states_BSD)
        for block in self.blocks:
            states_BSD = block(states_BSD, real_BS[:, None, None, :])
        real_B1T = real_BS[:, None, :-1].to(states_BSD.dtype)
        mean_BD = (real_B1T @ states_BSD[:, :-1]).squeeze(1) / lengths_B.clamp(min=1).unsqueeze(1)
        empty_B1 = (lengths_B == 0).unsqueeze(1)
        return torch.cat([states_BSD[:, -1], mean_BD], 1).masked_fill(empty_B1, 0.0)


class _Block(nn.Module):
    """One layer, with layer norms after the residual sums."""

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.into_heads = nn.Linear(dim, 3 * dim)  # query, key, value
        self.from_heads = nn.Linear(dim, dim)
        self.first = nn.Linear(dim, hidden)
        self.second = nn.Linear(hidden, dim)
        self.attended = nn.LayerNorm(dim)
        self.transformed = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, states_BSD: Tensor, seen_B11S: Tensor) -> Tensor:
        heads_3BHSd = self.into_heads(states_BSD).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed_BHSd = functional.scaled_dot_product_attention(
            heads_3BHSd[0], heads_3BHSd[1], heads_3BHSd[2], attn_mask=seen_B11S
        )
        mixed_BSD = self.from_heads(mixed_BHSd.transpose(1, 2).flatten(2))
        states_BSD = self.attended(states_BSD + self.drop(mixed_BSD))
        raised_BSD = self.second(functional.leaky_relu(self.first(states_BSD)))
        return self.transformed(states_BSD + self.drop(raised_BSD))


@torch.fx.wrap
def _places(events_BTD: Tensor, lengths_B: Tensor, max_length: int) -> tuple[Tensor, Tensor]:
    """``(B, T + 1)`` positions of the events and the candidate, and ``(B, T + 1)`` bool, True if real."""
    ages_BT = lengths_B.unsqueeze(1) - torch.arange(events_BTD.shape[1], device=lengths_B.device)
    # Padding would have a position below 1.
    places_BS = functional.pad(ages_BT.clamp(1, max_length), (0, 1), value=0)
    return places_BS, functional.pad(real_events(events_BTD, lengths_B), (0, 1), value=True)
