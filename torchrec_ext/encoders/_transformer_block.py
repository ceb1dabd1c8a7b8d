"""One transformer layer, shared by the encoders with softmax attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least
from torchrec_ext.dropout import Dropout
from torchrec_ext.dynamic_length import is_dynamic
from torchrec_ext.errors import InputError


class TransformerBlock(nn.Module):
    """Attention and a feed-forward network, each behind a layer norm and with a residual connection.

    Attention weights have no dropout: torch's fused attention has none on CPU, and the unfused one makes a
    layer at least a third slower. Both branches have dropout before they are added.

    Args:
        dim: D, width of a vector.
        heads: number of attention heads, which divides ``dim``.
        hidden: width of the feed-forward network.
        dropout: share of components zeroed in training, of both branches and inside the second.
        activation: module between the layers of the feed-forward network.
    """

    def __init__(self, dim: int, heads: int, hidden: int, dropout: float, activation: nn.Module) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, heads=heads, hidden=hidden)
        if dim % heads:
            raise InputError(f"heads should divide dim, which is {dim}, received {heads}")
        self.dim = dim
        self.heads = heads
        self.attention_norm = nn.LayerNorm(dim)
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.attended = nn.Linear(dim, dim)
        self.feed_norm = nn.LayerNorm(dim)
        self.feed_in = nn.Linear(dim, hidden)
        self.activation = activation
        self.feed_out = nn.Linear(hidden, dim)
        self.drop = Dropout(dropout)
        for layer in (self.query_key_value, self.attended, self.feed_in, self.feed_out):
            nn.init.normal_(layer.weight, std=0.02)
            nn.init.zeros_(layer.bias)

    def forward(
        self, vectors_BTD: Tensor, window: int | None = None, seen_BT: Tensor | None = None
    ) -> Tensor:
        """One layer over whole histories; give either ``window`` or ``seen_BT``.

        Args:
            vectors_BTD: ``(B, T, D)`` vectors.
            window: each event attends to itself and the ``window - 1`` events before it.
            seen_BT: ``(B, T)`` bool, the events that all events of a row attend to; at least one in each row.
        """
        projected = self.query_key_value(self.attention_norm(vectors_BTD)).unflatten(2, (3, self.heads, -1))
        query, key, value = projected.permute(2, 0, 3, 1, 4).unbind(0)
        if window is not None:
            seen_BHTE = _windowed_attention(query, key, value, window)
        else:
            assert seen_BT is not None
            mask_B11T = seen_BT.unsqueeze(1).unsqueeze(1)
            seen_BHTE = functional.scaled_dot_product_attention(query, key, value, mask_B11T)
        return self._add(vectors_BTD, seen_BHTE.transpose(1, 2).flatten(2))

    def step(
        self, vector_BD: Tensor, cache_BMK: Tensor, here_BM1: Tensor, seen_BM: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One layer for the newest event only.

        Args:
            vector_BD: ``(B, D)`` vectors of the event.
            cache_BMK: ``(B, M, 2D)`` keys and values of the events before it, in any order.
            here_BM1: ``(B, M, 1)`` bool, True at the slot of the new event.
            seen_BM: ``(B, M)`` bool, True at slots that hold an event, the new one included.

        Returns:
            ``(B, D)`` vectors, and the new cache.
        """
        projected_B3 = self.query_key_value(self.attention_norm(vector_BD)).to(cache_BMK.dtype)
        query_B1D, own_B1K = projected_B3.unsqueeze(1).split([self.dim, 2 * self.dim], dim=2)
        cache_BMK = torch.where(here_BM1, own_B1K, cache_BMK)
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in (query_B1D, *cache_BMK.chunk(2, dim=2))
        )
        mask_B11M = seen_BM.unsqueeze(1).unsqueeze(1)
        seen_BH1E = functional.scaled_dot_product_attention(query, key, value, mask_B11M)
        return self._add(vector_BD, seen_BH1E.flatten(1)), cache_BMK

    def _add(self, vectors: Tensor, seen: Tensor) -> Tensor:
        vectors = vectors + self.drop(self.attended(seen))
        inner = self.drop(self.activation(self.feed_in(self.feed_norm(vectors))))
        return vectors + self.drop(self.feed_out(inner))


@torch.fx.wrap
def _windowed_attention(query: Tensor, key: Tensor, value: Tensor, window: int) -> Tensor:
    """Causal attention of ``(B, H, T, E)`` tensors within a window; the fused causal mask if T fits in it."""
    events = query.shape[2]
    if not is_dynamic(events) and events <= window:
        return functional.scaled_dot_product_attention(query, key, value, is_causal=True)
    at = torch.arange(events, device=query.device)
    back_TT = at.unsqueeze(1) - at
    return functional.scaled_dot_product_attention(query, key, value, (back_TT >= 0) & (back_TT < window))
