"""The compressed interaction network of xDeepFM."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class CIN(Interaction):
    """Weighted sums of element-wise products: each layer multiplies the last one's maps by the field vectors.

    From "xDeepFM: Combining Explicit and Implicit Feature Interactions for Recommender Systems" (Lian et
    al. 2018), section 3.1 and equation 6. Layer k holds crosses of degree k + 1 of whole vectors. The output
    is the sum of each map's components, the first layer's maps first. There is no activation: the paper found
    none to be best.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        maps: number of maps of each layer, which is H of that layer.

    Example:
        >>> CIN(num_fields=3, dim=8, maps=(16, 4))(torch.rand(2, 3, 8)).shape
        torch.Size([2, 20])
    """

    def __init__(self, num_fields: int, dim: int, maps: tuple[int, ...] = (64, 64)) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        if not maps:
            raise InputError("maps should hold the number of maps of at least one layer, received ()")
        expect_at_least(1, maps=min(maps))
        self.num_fields = num_fields
        self.dim = dim
        self.maps = tuple(maps)
        self.out_dim = sum(maps)
        before = (num_fields, *maps)
        self.layers = nn.ModuleList(
            nn.Linear(count * num_fields, new, bias=False) for count, new in zip(before, maps, strict=False)
        )

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, sum(maps))``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        # Components before maps, so that a layer's weighted sum is a matrix product.
        fields_BDF = maps_BDH = fields_BFD.transpose(1, 2)
        sums = []
        for layer in self.layers[:-1]:
            maps_BDH = layer((maps_BDH.unsqueeze(3) * fields_BDF.unsqueeze(2)).flatten(2))
            sums.append(maps_BDH.sum(1))
        # The last maps are only summed: to sum the products first makes the layer D times cheaper.
        products_BHF = torch.bmm(maps_BDH.transpose(1, 2), fields_BDF)
        return torch.cat([*sums, self.layers[-1](products_BHF.flatten(1))], dim=1)
