"""Dilated causal convolutions over the history."""

from itertools import cycle, islice

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import StreamingEncoder
from torchrec_ext.dropout import Dropout
from torchrec_ext.encoders._rows import to_histories, to_rows, windows
from torchrec_ext.errors import InputError


class NextItNet(StreamingEncoder):
    """Residual blocks of two dilated causal convolutions; the receptive field grows with depth.

    From "A Simple Convolutional Generative Network for Next Item Recommendation" (Yuan et al. 2019).
    A block is the second kind in the paper: convolution, layer norm and ReLU, twice. Here events are scaled
    to the size of the blocks' outputs, blocks have dropout, and a layer norm gives the states. The scorer
    replaces the paper's layer from a state to item scores.

    A state depends on the newest ``receptive_field`` events: 61 with the defaults.

    Args:
        dim: D, width of an event vector and of a state, which is ``out_dim``.
        layers: number of residual blocks.
        dilations: distance in events between neighbouring inputs of a convolution, for one convolution after
            the other; they are repeated as often as needed.
        kernel_size: number of inputs of a convolution.
        dropout: share of components zeroed in training, of the events and of the blocks' outputs.

    Example:
        >>> encoder = NextItNet(dim=8)
        >>> encoder(torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 5, 8])
        >>> encoder.receptive_field
        61
        >>> state, output_BD = encoder.step(encoder.initial_state(2), torch.rand(2, 8))
        >>> output_BD.shape
        torch.Size([2, 8])
    """

    causal = True

    def __init__(
        self,
        dim: int,
        layers: int = 4,
        dilations: tuple[int, ...] = (1, 2, 4, 8),
        kernel_size: int = 3,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        expect_at_least(1, dim=dim, layers=layers, kernel_size=kernel_size)
        expect_dropout(dropout)
        if not dilations or min(dilations) < 1:
            raise InputError(f"dilations should be numbers of at least 1, received {dilations}")
        self.dim = dim
        self.layers = layers
        self.dilations = dilations
        self.kernel_size = kernel_size
        self.dropout = dropout
        self.out_dim = dim
        convolutions = [_Convolution(dim, kernel_size, d) for d in islice(cycle(dilations), 2 * layers)]
        self.convolutions = nn.ModuleList(convolutions)
        self.backs = [convolution.back for convolution in convolutions]
        self.receptive_field = 1 + sum(self.backs)
        self.norm = nn.LayerNorm(dim)
        self.drop = Dropout(dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` events, ``(B,)`` lengths to ``(B, T, D)``; states at padding are undefined."""
        expect_shape("events_BTD", events_BTD, ("batch", "events", self.dim))
        expect_shape("lengths_B", lengths_B, (events_BTD.shape[0],))
        rows, since, place = to_rows(events_BTD, lengths_B)
        vectors = self.drop(rows * self.dim**0.5)
        for first, second in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            vectors = vectors + self.drop(second(first(vectors, since), since))
        return to_histories(self.norm(vectors), place, events_BTD)

    def initial_state(self, batch_size: int) -> Tensor:
        """``(B, receptive_field - 1, D)`` zeros: each convolution's latest inputs; one row for each user."""
        return self.norm.weight.new_zeros(batch_size, self.receptive_field - 1, self.dim)

    def step(self, state: Tensor, event_BD: Tensor, time_B: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``(B, receptive_field - 1, D)`` state and next ``(B, D)`` event to new state and ``(B, D)``."""
        expect_shape("event_BD", event_BD, ("batch", self.dim))
        expect_shape("state", state, (event_BD.shape[0], self.receptive_field - 1, self.dim))
        caches = iter(state.split(self.backs, 1))
        vectors, kept = self.drop(event_BD * self.dim**0.5), []
        for first, second in zip(self.convolutions[::2], self.convolutions[1::2], strict=True):
            added = vectors
            for convolution in (first, second):
                cache, added = convolution.step(next(caches), added)  # type: ignore[operator]
                kept.append(cache)
            vectors = vectors + self.drop(added)
        return torch.cat(kept, 1), self.norm(vectors)


class _Convolution(nn.Module):
    """A causal convolution, a layer norm and ReLU.

    Args:
        dim: D, width of a vector.
        kernel_size: number of input vectors.
        dilation: distance between two of them.
    """

    def __init__(self, dim: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.dilation = dilation
        self.back = (kernel_size - 1) * dilation
        self.mix = nn.Linear(kernel_size * dim, dim)  # columns of the oldest vector first
        self.norm = nn.LayerNorm(dim)

    def forward(self, vectors_ND: Tensor, since_N: Tensor) -> Tensor:
        """``(N, D)`` vectors and the number of earlier ones of each to ``(N, D)``, padded with zeros."""
        # Shifted copies and one matrix product: several times faster on CPU than calling the convolution.
        return self._out(windows(vectors_ND, since_N, tuple(range(self.back, 0, -self.dilation))))

    def step(self, cache_BMD: Tensor, vector_BD: Tensor) -> tuple[Tensor, Tensor]:
        """The newest M vectors and the next one to the new M vectors and the ``(B, D)`` output."""
        seen = torch.cat([cache_BMD, vector_BD.unsqueeze(1)], 1)
        return seen[:, 1:], self._out(seen[:, :: self.dilation].flatten(1))

    def _out(self, seen: Tensor) -> Tensor:
        return self.norm(self.mix(seen)).relu_()
