"""Causal self-attention over the history."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._transformer_block import TransformerBlock


class SASRec(StreamingEncoder):
    """A causal transformer: each event attends to itself and to earlier events.

    From "Self-Attentive Sequential Recommendation" (Kang, McAuley 2018). Differences from the paper's code:
    the residual connection adds the branch's input, not the normalised queries; both branches have dropout,
    attention weights have none; positions count from the oldest event kept, because histories are padded on
    the right; and the model chooses the loss, where the paper has one sampled negative for each event.

    Beyond ``max_length`` events each layer attends to the newest ``max_length``, and later events share the
    last position, in ``forward`` and in ``step``.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of layers.
        heads: number of attention heads, which divides ``dim``.
        hidden: width of the feed-forward networks; None takes ``dim``, as in the paper.
        dropout: share of components zeroed in training, of the input and of each layer's branches.
        max_length: M, number of learnt positions, and of events that a layer attends to.

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
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        vectors_BTD = self._place(events_BTD, _first_rows(self.positions, events_BTD))
        for block in self.blocks:  # padding comes last, so the causal mask keeps it out of every real state
            vectors_BTD = block(vectors_BTD, self.max_length)
        return self.norm(vectors_BTD)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor]:
        """``(B, layers, M, 2D)`` keys and values, a ring buffer of zeros, and ``(B,)`` counts of events."""
        cache = self.positions.new_zeros(batch_size, self.layers, self.max_length, 2 * self.dim)
        return cache, torch.zeros(batch_size, dtype=torch.int64, device=cache.device)

    def step(
        self, state: tuple[Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Keys, values, counts and the next ``(B, D)`` event to the new ones and the ``(B, D)`` output."""
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
        # Events have variance 1 / D, which is small against the outputs of the branches.
        return self.drop(torch.add(positions, events, alpha=self.dim**0.5))


@torch.fx.wrap
def _first_rows(positions_MD: Tensor, events_BTD: Tensor) -> Tensor:
    """``(T, D)`` positions of T events; those beyond M share the last position."""
    at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
    return positions_MD.index_select(0, at_T.clamp(max=positions_MD.shape[0] - 1))
