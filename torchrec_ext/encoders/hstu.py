"""Pointwise attention over the history, with biases for relative position and time."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.errors import InputError

_HIDDEN = -3e4
"""A bias far below every score, within float16; SiLU and its derivative are exactly zero there."""


class HSTU(StreamingEncoder):
    """Hierarchical sequential transduction units: attention by SiLU instead of softmax, and a gate.

    From "Actions Speak Louder than Words: Trillion-Parameter Sequential Transducers for Generative
    Recommendations" (Zhai et al. 2024). Differences from the paper's code: the time bias reads the seconds
    between an earlier event and the event of the state, not the event after it, whose time is unknown when
    serving; sums over events are not divided by a constant, which the following layer norm would cancel;
    events have no absolute positions; and the output states are layer-normalised.

    Beyond ``max_length`` events each layer attends to the newest ``max_length``, in ``forward`` and in
    ``step``. Without times all events are treated as simultaneous.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of layers.
        heads: number of attention heads, which divides ``dim``; all heads share the biases.
        dropout: share of components zeroed in training, of the input and of each layer's output.
        max_length: M, number of events that a layer attends to; each distance below it has a bias.
        time_buckets: number of time biases. The buckets end at 1.5, 2, 3, 4, 6 seconds and so on, two for
            each doubling; the last one holds all longer times, and 64 buckets reach 136 years.

    Example:
        >>> encoder = HSTU(dim=8)
        >>> times_BT = torch.tensor([[0.0, 60.0, 3600.0]], dtype=torch.float64)
        >>> encoder(torch.rand(1, 3, 8), torch.tensor([3]), times_BT).shape
        torch.Size([1, 3, 8])
        >>> state, output_BD = encoder.step(encoder.initial_state(1), torch.rand(1, 8), times_BT[:, 0])
        >>> output_BD.shape
        torch.Size([1, 8])
    """

    causal = True
    reads_times = True

    def __init__(
        self,
        dim: int,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.2,
        max_length: int = 200,
        time_buckets: int = 64,
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, layers=layers, heads=heads, max_length=max_length)
        expect_at_least(1, time_buckets=time_buckets)
        expect_dropout(dropout)
        if dim % heads:
            raise InputError(f"heads should divide dim, which is {dim}, received {heads}")
        self.dim = dim
        self.layers = layers
        self.heads = heads
        self.dropout = dropout
        self.max_length = max_length
        self.time_buckets = time_buckets
        self.out_dim = dim
        self.blocks = nn.ModuleList(
            _Block(dim, heads, dropout, max_length, time_buckets) for _ in range(layers)
        )
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """Events to states.

        Args:
            events_BTD: ``(B, T, D)`` float event vectors, oldest first.
            lengths_B: ``(B,)`` integer lengths.
            times_BT: ``(B, T)`` float64 seconds, or None.

        Returns:
            ``(B, T, D)`` states; states at padding are undefined.
        """
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        back_TT = _distances(events_BTD, self.max_length)
        since_BTT = _since_each(times_BT, events_BTD, self.time_buckets)
        vectors_BTD = self.drop(events_BTD * self.dim**0.5)
        for block in self.blocks:  # padding comes last, so the causal bias keeps it out of every real state
            vectors_BTD = block(vectors_BTD, back_TT, since_BTT)
        return self.norm(vectors_BTD)

    def initial_state(self, batch_size: int) -> tuple[Tensor, Tensor, Tensor]:
        """``(B, layers, M, 2D)`` keys and values, ``(B, M)`` times (both ring buffers), ``(B,)`` counts."""
        cache = self.norm.weight.new_zeros(batch_size, self.layers, self.max_length, 2 * self.dim)
        times = torch.zeros(batch_size, self.max_length, dtype=torch.float64, device=cache.device)
        return cache, times, torch.zeros(batch_size, dtype=torch.int64, device=cache.device)

    def step(
        self, state: tuple[Tensor, Tensor, Tensor], event_BD: Tensor, time_B: Tensor | None = None
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
        """The state, the next ``(B, D)`` event and its time to the new state and the ``(B, D)`` output."""
        cache_BLMK, times_BM, counts_B = state
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state[2]", counts_B, (event_BD.shape[0],))
        slots_M = torch.arange(self.max_length, device=counts_B.device)
        back_BM = (counts_B.unsqueeze(1) - slots_M) % self.max_length
        here_BM = back_BM == 0
        seen_BM = slots_M <= counts_B.unsqueeze(1)
        back_BM = torch.where(seen_BM, back_BM, self.max_length)
        since_BM = None
        if time_B is not None:
            expect_shape("time_B", time_B, (event_BD.shape[0],))
            times_BM = torch.where(here_BM, time_B.unsqueeze(1), times_BM)
            since_BM = _buckets(time_B.unsqueeze(1) - times_BM, self.time_buckets)
        vectors_BD = self.drop(event_BD * self.dim**0.5)
        caches = []
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, _Block)
            vectors_BD, cache_BMK = block.step(vectors_BD, cache_BLMK[:, layer], here_BM, back_BM, since_BM)
            caches.append(cache_BMK)
        return (torch.stack(caches, 1), times_BM, counts_B + 1), self.norm(vectors_BD)


class _Block(nn.Module):
    """One layer: one projection to gate, queries, keys and values, then pointwise attention."""

    def __init__(self, dim: int, heads: int, dropout: float, max_length: int, time_buckets: int) -> None:
        super().__init__()
        self.dim = dim
        self.heads = heads
        self.norm = nn.LayerNorm(dim)
        self.project = nn.Linear(dim, 4 * dim)
        self.attended_norm = nn.LayerNorm(dim)
        self.output = nn.Linear(dim, dim)
        self.position_bias = nn.Parameter(torch.empty(max_length))
        self.time_bias = nn.Parameter(torch.empty(time_buckets))
        self.drop = Dropout(dropout)
        nn.init.normal_(self.project.weight, std=0.02)
        nn.init.zeros_(self.project.bias)
        nn.init.normal_(self.position_bias, std=0.02)
        nn.init.normal_(self.time_bias, std=0.02)

    def forward(self, vectors_BTD: Tensor, back_TT: Tensor, since_BTT: Tensor | None) -> Tensor:
        """``(B, T, D)`` vectors, ``(T, T)`` distances and ``(B, T, T)`` time buckets to ``(B, T, D)``."""
        gate, query, key, value = functional.silu(self.project(self.norm(vectors_BTD))).chunk(4, 2)
        seen = _pointwise_attention(query, key, value, self._bias(back_TT, since_BTT), self.heads)
        return self._add(vectors_BTD, gate, seen)

    def step(
        self,
        vector_BD: Tensor,
        cache_BMK: Tensor,
        here_BM: Tensor,
        back_BM: Tensor,
        since_BM: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """One event: ``(B, D)`` vectors and ``(B, M, 2D)`` keys and values to the updated ones."""
        projected_BK = functional.silu(self.project(self.norm(vector_BD))).to(cache_BMK.dtype)
        gate_BD, query_BD, own_BK = projected_BK.split([self.dim, self.dim, 2 * self.dim], 1)
        cache_BMK = torch.where(here_BM.unsqueeze(2), own_BK.unsqueeze(1), cache_BMK)
        key, value = cache_BMK.chunk(2, 2)
        bias_B1M = self._bias(back_BM, since_BM).unsqueeze(1)
        seen_B1D = _pointwise_attention(query_BD.unsqueeze(1), key, value, bias_B1M, self.heads)
        return self._add(vector_BD, gate_BD, seen_B1D.squeeze(1)), cache_BMK

    def _bias(self, back: Tensor, since: Tensor | None) -> Tensor:
        never = self.position_bias.new_full((1,), _HIDDEN)
        return _add_time_bias(torch.cat([self.position_bias, never]).take(back), self.time_bias, since)

    def _add(self, vectors: Tensor, gate: Tensor, seen: Tensor) -> Tensor:
        return vectors + self.drop(self.output(gate * self.attended_norm(seen)))


def _pointwise_attention(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, heads: int) -> Tensor:
    """``(B, N, D)`` queries, ``(B, T, D)`` keys and values and a ``([B,] N, T)`` bias to ``(B, N, D)``."""
    # The matrix product would copy each of them anyway, the keys in an order that is slow to read.
    parts = (part.unflatten(2, (heads, -1)).transpose(1, 2).contiguous() for part in (query, key, value))
    query, key, value = parts
    scores_BHNT = (query @ key.transpose(2, 3)).add_(bias.unsqueeze(-3))
    return (functional.silu(scores_BHNT) @ value).transpose(1, 2).flatten(2)


@torch.fx.wrap
def _distances(events_BTD: Tensor, max_length: int) -> Tensor:
    """``(T, T)`` distances from the column's event to the row's; ``max_length`` if the row ignores it."""
    at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
    back_TT = at_T.unsqueeze(1) - at_T
    return torch.where((back_TT >= 0) & (back_TT < max_length), back_TT, max_length)


@torch.fx.wrap
def _since_each(times_BT: Tensor | None, events_BTD: Tensor, buckets: int) -> Tensor | None:
    """``(B, T, T)`` buckets of the seconds from the column's event to the row's."""
    if times_BT is None:
        return None
    expect_shape("times_BT", times_BT, tuple(events_BTD.shape[:2]))
    return _buckets(times_BT.unsqueeze(2) - times_BT.unsqueeze(1), buckets)


def _buckets(seconds: Tensor, buckets: int) -> Tensor:
    """The int32 bucket of each time: the exponent and the first fraction bit of its float32.

    A logarithm could round differently in ``step``, which works on fewer times at once.
    """
    bits = seconds.float().clamp(min=1).view(torch.int32)
    return ((bits >> 22) - (127 << 1)).clamp(max=buckets - 1)


@torch.fx.wrap
def _add_time_bias(bias: Tensor, table: Tensor, since: Tensor | None) -> Tensor:
    if since is None:
        return bias + table[0]
    # The backward pass is ten times faster than that of an embedding of width 1.
    return bias + table.index_select(0, since.flatten()).view_as(since)
