"""Encoders of histories by means, convolutions and attention; the recurrent ones are in recurrences.py."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from peers.recurrences import AttentionOverStates, LinearRecurrence, Recurrence


class Mean(nn.Module):
    """The cumulative sum over the count."""

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        counts_T = torch.arange(1, events_BTD.shape[1] + 1, device=events_BTD.device)
        return events_BTD.cumsum(1) / counts_T.unsqueeze(1)


class DilatedConvolutions(nn.Module):
    """NextItNet: residual blocks of ``nn.Conv1d``, ``nn.LayerNorm`` and ReLU, twice each."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.scale = ours.dim**0.5
        count = 2 * ours.layers
        dilations = (ours.dilations * count)[:count]
        self.backs = [(ours.kernel_size - 1) * dilation for dilation in dilations]
        self.convolutions = nn.ModuleList(
            nn.Conv1d(ours.dim, ours.dim, ours.kernel_size, dilation=dilation) for dilation in dilations
        )
        self.norms = nn.ModuleList(nn.LayerNorm(ours.dim) for _ in dilations)
        self.last = nn.LayerNorm(ours.dim)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        vectors = self.drop(events_BTD * self.scale)
        for block in range(0, len(self.backs), 2):
            added = vectors
            for number in (block, block + 1):
                padded = functional.pad(added.transpose(1, 2), (self.backs[number], 0))
                added = torch.relu(self.norms[number](self.convolutions[number](padded).transpose(1, 2)))
            vectors = vectors + self.drop(added)
        return self.last(vectors)


class ImagesOfWindows(nn.Module):
    """Caser: each window of events as an image, ``nn.Conv2d`` of each height, and one over the columns."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.scale, self.window = ours.dim**0.5, ours.window
        heights = range(1, ours.window + 1)
        rows, columns = ours.horizontal_filters, ours.vertical_filters
        self.rows = nn.ModuleList(nn.Conv2d(1, rows, (height, ours.dim)) for height in heights)
        self.columns = nn.Conv2d(1, columns, (ours.window, 1))
        self.mix = nn.Linear(ours.window * rows + columns * ours.dim, ours.dim)
        self.last = nn.LayerNorm(ours.dim)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        padded = functional.pad(self.drop(events_BTD * self.scale), (0, 0, self.window - 1, 0))
        images = padded.unfold(1, self.window, 1).transpose(2, 3).flatten(0, 1).unsqueeze(1)
        found = [torch.relu(row(images)).amax((2, 3)) for row in self.rows]
        state = self.mix(torch.cat([*found, self.columns(images).flatten(1)], 1))
        return self.drop(self.last(state)).view(events_BTD.shape)


class Transformer(nn.Module):
    """``nn.TransformerEncoder`` with learnt positions: SASRec if causal, BERT4Rec otherwise."""

    def __init__(self, ours: Any, causal: bool) -> None:
        super().__init__()
        self.scale, self.causal = ours.dim**0.5, causal
        self.positions = nn.Embedding(ours.max_length, ours.dim)
        self.hidden_event = None if causal else nn.Parameter(torch.randn(ours.dim) * ours.dim**-0.5)
        layer = nn.TransformerEncoderLayer(
            ours.dim, ours.heads, ours.hidden, ours.dropout,
            "relu" if causal else "gelu", batch_first=True, norm_first=True,
        )  # fmt: skip
        norm = nn.LayerNorm(ours.dim)
        self.layers = nn.TransformerEncoder(layer, ours.layers, norm, enable_nested_tensor=False)
        self.drop = nn.Dropout(ours.dropout)

    def forward(
        self,
        events_BTD: Tensor,
        lengths_B: Tensor,
        times_BT: Tensor | None = None,
        masked_BT: Tensor | None = None,
    ) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
        if self.hidden_event is not None and masked_BT is not None:
            events_BTD = torch.where(masked_BT.unsqueeze(2), self.hidden_event, events_BTD)
        vectors = self.drop(events_BTD * self.scale + self.positions(at_T))
        if self.causal:
            mask = nn.Transformer.generate_square_subsequent_mask(len(at_T), device=at_T.device)
            return self.layers(vectors, mask=mask, is_causal=True)
        return self.layers(vectors, src_key_padding_mask=at_T >= lengths_B.unsqueeze(1))


class PointwiseAttention(nn.Module):
    """HSTU: einsum, SiLU, and biases of position and time that each layer looks up by itself."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.scale, self.heads = ours.dim**0.5, ours.heads
        self.layers = nn.ModuleList(
            nn.ModuleDict(
                {
                    "norm": nn.LayerNorm(ours.dim),
                    "into": nn.Linear(ours.dim, 4 * ours.dim),
                    "seen_norm": nn.LayerNorm(ours.dim),
                    "out": nn.Linear(ours.dim, ours.dim),
                }
            )
            for _ in range(ours.layers)
        )
        self.positions = nn.Parameter(torch.randn(ours.layers, ours.max_length) * 0.02)
        self.times = nn.Parameter(torch.randn(ours.layers, ours.time_buckets) * 0.02)
        self.last = nn.LayerNorm(ours.dim)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor) -> Tensor:
        """``(B, T, D)`` to ``(B, T, D)``."""
        at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
        back_TT = at_T.unsqueeze(1) - at_T
        vectors = self.drop(events_BTD * self.scale)
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, nn.ModuleDict)
            since_BTT = (times_BT.unsqueeze(2) - times_BT.unsqueeze(1)).clamp(min=1)
            bucket_BTT = (since_BTT.log2() * 2).long().clamp(max=self.times.shape[1] - 1)
            bias_BTT = self.positions[number][back_TT.clamp(min=0)] + self.times[number].index_select(
                0, bucket_BTT.flatten()
            ).view(bucket_BTT.shape)
            parts = functional.silu(layer["into"](layer["norm"](vectors))).chunk(4, 2)
            gate, query, key, value = parts[0], *(p.unflatten(2, (self.heads, -1)) for p in parts[1:])
            scores = torch.einsum("bthe,bshe->bhts", query, key) + bias_BTT.unsqueeze(1)
            seen = torch.einsum("bhts,bshe->bthe", functional.silu(scores) * (back_TT >= 0), value)
            vectors = vectors + self.drop(layer["out"](gate * layer["seen_norm"](seen.flatten(2))))
        return self.last(vectors)


class SeveralSoftmaxes(nn.Module):
    """ComiRec: two linear layers to a softmax an interest."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.scale = ours.dim**0.5
        self.positions = nn.Embedding(ours.max_length, ours.dim)
        self.inner = nn.Linear(ours.dim, ours.hidden)
        self.score = nn.Linear(ours.hidden, ours.num_interests, bias=False)
        self.norm = nn.LayerNorm(ours.dim)
        self.drop = nn.Dropout(ours.dropout)

    def forward(self, events_BTD: Tensor, lengths_B: Tensor, times_BT: Tensor | None = None) -> Tensor:
        """``(B, T, D)`` to ``(B, K, D)``."""
        at_T = torch.arange(events_BTD.shape[1], device=events_BTD.device)
        events = self.drop(events_BTD)
        scores = self.score(torch.tanh(self.inner(events * self.scale + self.positions(at_T))))
        scores = scores.masked_fill((at_T >= lengths_B.unsqueeze(1)).unsqueeze(2), -1e9)
        return self.norm(torch.einsum("btk,btd->bkd", scores.softmax(1), events) * self.scale)


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "bert4rec": ("nn.TransformerEncoder", lambda ours: Transformer(ours, causal=False)),
    "caser": ("nn.Conv2d", ImagesOfWindows),
    "comirec": ("nn.Linear, einsum", SeveralSoftmaxes),
    "gru": ("nn.GRU", lambda ours: Recurrence(ours, nn.GRU)),
    "hstu": ("einsum, silu", PointwiseAttention),
    "lrurec": ("doubling", LinearRecurrence),
    "lstm": ("nn.LSTM", lambda ours: Recurrence(ours, nn.LSTM)),
    "mean_pool": ("cumsum", lambda ours: Mean()),
    "narm": ("nn.GRU, all pairs", AttentionOverStates),
    "nextitnet": ("nn.Conv1d", DilatedConvolutions),
    "sasrec": ("nn.TransformerEncoder", lambda ours: Transformer(ours, causal=True)),
}
