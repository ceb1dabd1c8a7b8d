"""A linear recurrence over the history, which computes all states in parallel."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.dynamic_length import is_dynamic, scan_states
from torchrec_ext.errors import InputError
from torchrec_ext.float_weights import float_weights


class LRURec(StreamingEncoder):
    """Linear recurrent units with complex diagonal weights, each followed by a feed-forward network.

    From "Linear Recurrent Units for Sequential Recommendation" (Yue et al. 2024). Training computes all
    states in parallel, as in the paper, but by matrix products over blocks of events instead of recursive
    doubling; a complex number is two real ones. Layer norms follow the residual sums, as in the paper.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of layers.
        hidden: number of complex components of a recurrence; None takes twice ``dim``, as in the paper.
        dropout: share of components zeroed in training, of the events, of the outputs of the recurrences and
            feed-forward networks, and inside the latter.
        r_min: smallest initial magnitude of a recurrent weight, above 0.
        r_max: largest initial magnitude of a recurrent weight, below 1.

    Example:
        >>> encoder = LRURec(dim=8)
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
        hidden: int | None = None,
        dropout: float = 0.2,
        r_min: float = 0.8,
        r_max: float = 0.99,
    ) -> None:
        super().__init__()
        hidden = 2 * dim if hidden is None else hidden
        expect_at_least(1, dim=dim, layers=layers, hidden=hidden)
        expect_dropout(dropout)
        if not 0 < r_min < r_max < 1:
            raise InputError(f"0 < r_min < r_max < 1 should hold, received r_min={r_min}, r_max={r_max}")
        self.dim = dim
        self.layers = layers
        self.hidden = hidden
        self.dropout = dropout
        self.r_min = r_min
        self.r_max = r_max
        self.out_dim = dim
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)
        self.blocks = nn.ModuleList(_Block(dim, hidden, dropout, r_min, r_max) for _ in range(layers))

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        vectors_BTD = self.drop(self.norm(events_BTD))
        for block in self.blocks:
            vectors_BTD = block(vectors_BTD)
        return vectors_BTD

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, layers, hidden, 2)`` zeros, real and imaginary parts; one row for each user."""
        return self.norm.weight.new_zeros(batch_size, self.layers, self.hidden, 2)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, layers, hidden, 2)`` state and next ``(B, D)`` event to new state and ``(B, D)`` output."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state", state, (event_BD.shape[0], self.layers, self.hidden, 2))
        vectors_BD, kept = self.drop(self.norm(event_BD)), []
        for block, before in zip(self.blocks, state.unbind(1), strict=True):
            after, vectors_BD = block.step(before, vectors_BD)  # type: ignore[operator]
            kept.append(after)
        return torch.stack(kept, 1), vectors_BD


class _Block(nn.Module):
    """A recurrence and a feed-forward network, each with a residual connection and then a layer norm.

    The state's component h follows ``state[t] = rate[h] * state[t - 1] + into(vector[t])[h]``, all complex.

    Args:
        dim: D, width of a vector.
        hidden: H, number of complex components of the state.
        dropout: share of the components zeroed in training.
        r_min: see :class:`LRURec`, as ``r_max``.
    """

    def __init__(self, dim: int, hidden: int, dropout: float, r_min: float, r_max: float) -> None:
        super().__init__()
        self.hidden = hidden
        # Uniform over the area of the ring, as in the paper; logarithms keep the rates below 1.
        size_H = (r_min**2 + torch.rand(hidden) * (r_max**2 - r_min**2)).sqrt()
        self.log_decay = nn.Parameter(size_H.log().neg().log())
        self.log_angle = nn.Parameter((2 * math.pi * torch.rand(hidden).clamp(min=1e-6)).log())
        self.log_gain = nn.Parameter((1 - size_H**2).log() / 2)  # states as large as the inputs
        self.into = nn.Linear(dim, 2 * hidden)  # real and imaginary part of one component, then the next
        self.out = nn.Linear(2 * hidden, dim)
        self.norm = nn.LayerNorm(dim)
        self.feed = nn.Sequential(
            nn.Linear(dim, 4 * dim), nn.GELU(), Dropout(dropout), nn.Linear(4 * dim, dim)
        )
        self.feed_norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)

    def forward(self, vectors_BTD: Tensor) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        weight, bias = self._into()
        out_weight, out_bias = float_weights(self.out)
        decay_H, angle_H = self.log_decay.exp(), self.log_angle.exp()
        seen_BTD = _recur(vectors_BTD, weight, bias, decay_H, angle_H, out_weight)
        return self._add(vectors_BTD, seen_BTD + out_bias)

    def step(self, state_BH2: Tensor, vector_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The state and the next vector to the new state and ``(B, D)``."""
        entering_BH2 = functional.linear(vector_BD, *self._into()).unflatten(1, (self.hidden, 2))
        turned_H22 = _powers(self.log_decay.exp(), self.log_angle.exp(), vector_BD.new_ones(1, 1))
        kept_BH2 = (turned_H22 * state_BH2.unsqueeze(2)).sum(3)
        state_BH2 = kept_BH2 + entering_BH2
        return state_BH2, self._add(vector_BD, self.out(state_BH2.flatten(1)))

    def _into(self) -> tuple[Tensor, Tensor]:
        gain_K = self.log_gain.exp().repeat_interleave(2)
        weight_KD, bias_K = float_weights(self.into)
        return weight_KD * gain_K.unsqueeze(1), bias_K * gain_K

    def _add(self, vectors: Tensor, seen: Tensor) -> Tensor:
        vectors = self.norm(vectors + self.drop(seen))
        return self.feed_norm(vectors + self.drop(self.feed(vectors)))


@torch.fx.wrap
def _recur(
    vectors_BTD: Tensor, into_KD: Tensor, bias_K: Tensor, decay_H: Tensor, angle_H: Tensor, out_DK: Tensor
) -> Tensor:
    """The input map, the recurrence and the output map of whole histories.

    Events are split into N blocks of C. One matrix product gives the states within each block, a second one
    the state that enters each block, and a third one that state's share at each event of the block. Each
    component of the state has its own matrices, so its axis is first; the axes of events and rows are last.
    """
    batch, events, dim = vectors_BTD.shape
    if is_dynamic(events):
        return _recur_stepwise(vectors_BTD, into_KD, bias_K, decay_H, angle_H) @ out_DK.T
    hidden, block = decay_H.shape[0], 4
    while block * block < events:
        block *= 2
    blocks = -(-events // block)
    padded = functional.pad(vectors_BTD, (0, 0, 0, blocks * block - events))
    across_DM = padded.view(batch, blocks, block, dim).permute(3, 2, 1, 0)
    across_DM = across_DM.reshape(dim, block * blocks * batch)
    entering = torch.addmm(bias_K.unsqueeze(1), into_KD, across_DM).view(hidden, 2 * block, blocks * batch)
    at_C = torch.arange(block, device=padded.device)
    at_N = torch.arange(blocks, device=padded.device)
    within = _powers(decay_H, angle_H, at_C.unsqueeze(1) - at_C) @ entering
    ends = within.view(hidden, 2, block, blocks * batch)[:, :, -1].reshape(hidden, 2 * blocks, batch)
    carried = _powers(decay_H, angle_H, block * (at_N.unsqueeze(1) - at_N - 1)) @ ends
    fading = _powers(decay_H, angle_H, at_C.unsqueeze(1) + 1)
    states = torch.baddbmm(within, fading, carried.view(hidden, 2, blocks * batch))
    seen = (out_DK @ states.view(2 * hidden, block * blocks * batch)).view(dim, block, blocks, batch)
    return seen.permute(3, 2, 1, 0).reshape(batch, blocks * block, dim)[:, :events]


def _recur_stepwise(
    vectors_BTD: Tensor, into_KD: Tensor, bias_K: Tensor, decay_H: Tensor, angle_H: Tensor
) -> Tensor:
    """``(B, T, 2H)`` states, one event after the other: torch.export cannot split an open T into blocks."""
    entering_TBK = functional.linear(vectors_BTD.transpose(0, 1), into_KD, bias_K)
    turned_H22 = _powers(decay_H, angle_H, decay_H.new_ones(1, 1))

    def step(state_BK: Tensor, entering_BK: Tensor) -> tuple[Tensor, Tensor]:
        kept_BH2 = (turned_H22 * state_BK.unflatten(1, (-1, 1, 2))).sum(3)
        state_BK = kept_BH2.flatten(1) + entering_BK
        return state_BK, state_BK.clone()

    return scan_states(step, entering_TBK.new_zeros(entering_TBK.shape[1:]), entering_TBK).transpose(0, 1)


def _powers(decay_H: Tensor, angle_H: Tensor, lags_RC: Tensor) -> Tensor:
    """``(H, 2R, 2C)`` matrices that multiply by powers of the rates; zeros for negative powers."""
    lags_HRC = lags_RC.clamp(min=0).to(decay_H.dtype).expand(decay_H.shape[0], -1, -1)
    size = (-decay_H.view(-1, 1, 1) * lags_HRC).exp() * (lags_RC >= 0)
    turn = angle_H.view(-1, 1, 1) * lags_HRC
    real, imaginary = size * turn.cos(), size * turn.sin()
    return torch.cat([torch.cat([real, -imaginary], 2), torch.cat([imaginary, real], 2)], 1)
