"""Interactions as in the papers, with torch's layers and einsum."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional


class ManyHeadAttention(nn.Module):
    """AutoInt: four linear layers, scores and a softmax."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.heads = ours.heads
        self.drop = nn.Dropout(ours.dropout)
        widths = [ours.dim] + [ours.hidden] * (ours.layers - 1)
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.Linear(width, ours.hidden, bias=False) for _ in range(4)) for width in widths
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, F * hidden)``."""
        vectors = fields_BFD
        for layer in self.layers:
            assert isinstance(layer, nn.ModuleList)
            query, key, value = (part(vectors).unflatten(2, (self.heads, -1)) for part in layer[:3])
            scores = torch.einsum("bfhe,bghe->bhfg", query, key) / query.shape[-1] ** 0.5
            seen = torch.einsum("bhfg,bghe->bfhe", self.drop(scores.softmax(-1)), value)
            vectors = torch.relu(seen.flatten(2) + layer[3](vectors))
        return vectors.flatten(1)


class Convolution(nn.Module):
    """``nn.Conv1d`` over the fields, or over the components, and ReLU."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.of_width = ours.channels == "width"
        depth = ours.dim if self.of_width else ours.num_fields
        self.convolution = nn.Conv1d(depth, ours.filters, ours.kernel_size)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, out_dim)``."""
        channels_first = fields_BFD.transpose(1, 2) if self.of_width else fields_BFD
        return torch.relu(self.convolution(channels_first)).transpose(1, 2).flatten(1)


class Crosses(nn.Module):
    """DCN v2 with full matrices: ``x0 * (W x + b) + x``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        width = ours.num_fields * ours.dim
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(ours.layers))

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, F * D)``."""
        first = vectors = fields_BFD.flatten(1)
        for layer in self.layers:
            vectors = first * layer(vectors) + vectors
        return vectors


class Products(nn.Module):
    """All products of two fields by einsum, of which the upper triangle is kept."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        first, second = torch.triu_indices(ours.num_fields, ours.num_fields, 1)
        self.first, self.second = nn.Buffer(first), nn.Buffer(second)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, F * (F - 1) / 2)``."""
        return torch.einsum("bfd,bgd->bfg", fields_BFD, fields_BFD)[:, self.first, self.second]


class ProductsAndFields(Products):
    """The products next to the unchanged fields."""

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, F * (F - 1) / 2 + F * D)``."""
        return torch.cat([super().forward(fields_BFD), fields_BFD.flatten(1)], 1)


class SquareOfSum(nn.Module):
    """A factorization machine's products: half of the squared sum less the sum of squares."""

    def __init__(self, ours: Any) -> None:
        super().__init__()

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, 1)``."""
        pairs = 0.5 * (fields_BFD.sum(1) ** 2 - (fields_BFD**2).sum(1))
        return pairs.sum(1, keepdim=True)


class GeneratedFields(nn.Module):
    """FGCNN: ``nn.Conv2d`` over the fields, ``nn.MaxPool2d``, and a linear layer to new fields."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        pool, kernel, rows = ours.pool, ours.kernel_size, ours.num_fields
        self.before = (kernel - 1) // 2
        self.after = kernel - 1 - self.before
        convolutions, generators = [], []
        for inputs, filters in zip((1, *ours.filters), ours.filters, strict=False):
            convolutions.append(nn.Conv2d(inputs, filters, (kernel, 1)))
            rows = -(-rows // pool)
            generators.append(nn.Linear(rows * ours.dim * filters, rows * ours.new_maps * ours.dim))
        self.convolutions, self.generators = nn.ModuleList(convolutions), nn.ModuleList(generators)
        self.pool = nn.MaxPool2d((pool, 1), ceil_mode=True)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, out_dim)``."""
        vectors, maps = [fields_BFD.flatten(1)], fields_BFD.unsqueeze(1)
        for convolution, generator in zip(self.convolutions, self.generators, strict=True):
            padded = functional.pad(maps, (0, 0, self.before, self.after))
            maps = self.pool(torch.tanh(convolution(padded)))
            vectors.append(torch.tanh(generator(maps.flatten(1))))
        return torch.cat(vectors, 1)


class Layers(nn.Module):
    """``nn.Sequential`` of linear layers and ReLU."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        widths = (ours.num_fields * ours.dim, *ours.hidden)
        layers = [
            nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(ours.dropout))
            for a, b in zip(widths, ours.hidden, strict=False)
        ]
        self.layers = nn.Sequential(*layers)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, hidden[-1])``."""
        return self.layers(fields_BFD.flatten(1))


class OuterProducts(nn.Module):
    """ConvNCF: the outer products as images, and a stack of ``nn.Conv2d``."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        first, second = torch.triu_indices(ours.num_fields, ours.num_fields, 1)
        self.first, self.second = nn.Buffer(first), nn.Buffer(second)
        layers = (ours.dim - 1).bit_length()
        self.fill = 2**layers - ours.dim
        channels = [len(first), *[ours.filters] * layers]
        self.convolutions = nn.Sequential(
            *[
                nn.Sequential(nn.Conv2d(a, b, 2, 2), nn.ReLU())
                for a, b in zip(channels, channels[1:], strict=False)
            ]
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` to ``(B, filters)``."""
        filled = functional.pad(fields_BFD, (0, self.fill))
        images = torch.einsum("bpc,bpd->bpcd", filled[:, self.first], filled[:, self.second])
        return self.convolutions(images).flatten(1)


PEERS: dict[str, tuple[str, Callable[[Any], nn.Module]]] = {
    "autoint": ("einsum, softmax", ManyHeadAttention),
    "convolution": ("nn.Conv1d", Convolution),
    "cross_network": ("nn.Linear", Crosses),
    "dot": ("einsum", Products),
    "factorization_machine": ("square of sum", SquareOfSum),
    "fgcnn": ("nn.Conv2d, nn.MaxPool2d", GeneratedFields),
    "mlp": ("nn.Sequential", Layers),
    "outer_product_convolution": ("einsum, nn.Conv2d", OuterProducts),
    "parallel": ("einsum, cat", ProductsAndFields),
}
