"""Convolutions over neighbouring fields, of which the largest values are kept."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class CCPM(Interaction):
    """Layers of wide convolutions along the fields, the p largest values of each component, and tanh.

    From "A Convolutional Click Prediction Model" (Liu et al. 2015). A filter slides over ``kernel_size``
    neighbouring fields, with separate weights for each component and no sum over the components, and also
    where it overlaps only the first or the last fields. The flexible p-max pooling keeps the p largest values
    of each component in their order: in layer i of l, ``p = (1 - (i / l) ** (l - i)) * F``, rounded down and
    at least 1; in the last layer 3, or as many as there are. Related fields should follow each other.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        filters: number of filters of each layer.
        kernel_size: number of neighbouring fields that a filter covers.

    Example:
        >>> CCPM(num_fields=4, dim=8).pools  # of 4 + 3 - 1 values, then of 2 + 3 - 1
        (2, 3)
        >>> CCPM(num_fields=4, dim=8)(torch.rand(2, 4, 8)).shape  # 3 values of 4 filters and 8 components
        torch.Size([2, 96])
    """

    def __init__(
        self, num_fields: int, dim: int, filters: tuple[int, ...] = (4, 4), kernel_size: int = 3
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, kernel_size=kernel_size)
        if not filters:
            raise InputError("filters should hold the number of filters of at least one layer, received ()")
        expect_at_least(1, filters=min(filters))
        self.num_fields = num_fields
        self.dim = dim
        self.filters = tuple(filters)
        self.kernel_size = kernel_size
        kept, pools, cuts, weights = num_fields, [], [], []
        for layer, (before, count) in enumerate(zip((1, *filters), filters, strict=False), 1):
            values = kept + kernel_size - 1
            kept = min(_pool(layer, len(filters), num_fields), values)
            pools.append(kept)
            cuts.append(kept < values)
            bound = (before * kernel_size) ** -0.5
            weights.append(torch.empty(dim, before * kernel_size, count).uniform_(-bound, bound))
        self.pools = tuple(pools)
        self._cuts = tuple(cuts)
        self.weights = nn.ParameterList(nn.Parameter(weight) for weight in weights)
        self.out_fields = kept * filters[-1]
        self.out_dim = self.out_fields * dim

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``: the filters one after the other."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        maps_BDCF = fields_BFD.transpose(1, 2).unsqueeze(2)
        beyond = self.kernel_size - 1
        for weight, pool, cuts in zip(self.weights, self.pools, self._cuts, strict=True):
            padded = functional.pad(maps_BDCF, (beyond, beyond))
            windows = padded.unfold(3, self.kernel_size, 1).transpose(2, 3).flatten(3)
            maps_BDCF = torch.einsum("bdrk,dko->bdor", windows, weight)
            maps_BDCF = (_largest(maps_BDCF, pool) if cuts else maps_BDCF).tanh()
        return maps_BDCF.permute(0, 2, 3, 1).flatten(1)


def _pool(layer: int, layers: int, num_fields: int) -> int:
    """The paper's p of a layer, counted from 1; in whole numbers, so that it is rounded down exactly."""
    if layer == layers:
        return 3
    scale = layers ** (layers - layer)
    return max(1, num_fields * (scale - layer ** (layers - layer)) // scale)


def _largest(maps_BDCF: Tensor, count: int) -> Tensor:
    """The largest values along the last axis, in their order."""
    where = maps_BDCF.topk(count, dim=3, sorted=False).indices.sort(dim=3).values
    return maps_BDCF.gather(3, where)
