"""Causal self-attention over the history."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._transformer_block import TransformerBlock


class SASRec(StreamingEncoder):
    """A causal transformer: each event attends to those before it and to itself.

    From "Self-Attentive Sequential Recommendation" (Kang, McAuley 2018). Here a branch's input is
    normalised and what comes in is added as it is, where the paper's code adds the normalised queries;
    attention weights are not dropped, but both branches are; positions count from the oldest event kept,
    the histories being padded on the right; and its loss, of one sampled item each, is the model's job.

    Beyond ``max_length`` events each layer sees the newest ``max_length`` and the later ones share the
    last position, in ``forward`` and ``step`` alike.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of layers.
        heads: number of attention heads, which divides ``dim``.
        hidden: width of the feed-forward networks; None takes ``dim``, as the paper.
        dropout: share of the components zeroed in training, of the input and of each layer's branches.
        max_length: M, number of learnt positions, and events that a layer sees.

    Example:
        >>> encoder = SASRec(dim=8)
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
        layers: int = 2,
        heads: int = 4,
        hidden: int | None = None,
        dropout: float = 0.2,
        max_length: int = 200,
    ) -> None:
        super().__init__()
        hidden = dim if hidden is None else hidden
        expect_at_least(1, dim=dim, layers=layers, heads=heads, hidden=hidden, max_length=max_length)
        expect_dropout(dropout)
        self.dim = dim
        self.layers = layers
        self.heads = heads
        self.hidden = hidden
        self.dropout = dropout
        self.max_length = max_length
        self.out_dim = dim
        self.positions = nn.Parameter(torch.empty(max_length, dim))
        nn.init.normal_(self.positions, std=0.02)
        self.blocks = nn.ModuleList(
            TransformerBlock(dim, heads, hidden, dropout, nn.ReLU()) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states past a length mean nothing."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        vectors_BTD = self._place(events_BTD, _first_rows(self.positions, events_BTD))
        for block in self.blocks:  # the causal mask alone keeps padding, which comes last, out of a state
            vectors_BTD = block(vectors_BTD, self.max_length)
        return self.norm(vectors_BTD)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """``(B, layers, M, 2D)`` keys and values of no event, a ring, and ``(B,)`` counts of events."""
        cache = self.positions.new_zeros(batch_size, self.layers, self.max_length, 2 * self.dim)
        return cache, torch.zeros(batch_size, dtype=torch.int64, device=cache.device)

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """The keys, values and counts and the next ``(B, D)`` event to the new ones and ``(B, D)`` output."""
        cache_BLMK, counts_B = state
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state[1]", counts_B, (event_BD.shape[0],))
        slots_M = torch.arange(self.max_length, device=counts_B.device)
        here_BM1 = (slots_M == (counts_B % self.max_length).unsqueeze(1)).unsqueeze(2)
        seen_BM = slots_M <= counts_B.unsqueeze(1)
        vectors_BD = self._place(event_BD, self.positions[counts_B.clamp(max=self.max_length - 1)])
        caches = []
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, TransformerBlock)
            vectors_BD, cache_BMK = block.step(vectors_BD, cache_BLMK[:, layer], here_BM1, seen_BM)
            caches.append(cache_BMK)
        return (torch.stack(caches, 1), counts_B + 1), self.norm(vectors_BD)

    def _place(self, events: Tensor, positions: Tensor) -> Tensor:
        # Events come in with a variance of 1 / D; the branches, which read normalised vectors, add more.
        return self.drop(torch.add(positions, events, alpha=self.dim**0.5))


@torch.fx.wrap
def _first_rows(positions_MD: Tensor, events_BTD: Tensor) -> Tensor:
    """``(T, D)`` positions of T events, the last one again and again beyond M."""
    at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
    return positions_MD.index_select(0, at_T.clamp(max=positions_MD.shape[0] - 1))
