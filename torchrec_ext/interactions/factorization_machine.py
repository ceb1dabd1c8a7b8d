"""A factorization machine over the field vectors."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class FactorizationMachine(Interaction):
    """The sum of the products of all pairs of field vectors, plus a linear term if wanted.

    From "Factorization Machines" (Rendle 2010). The paper's linear term, a weight for each feature, is the
    first-order term of :class:`~torchrec_ext.models.Ranker`. The optional linear term of this module reads
    the vectors: a learnt weight vector for each field, and a bias. The sum over pairs takes F * D
    multiplications, not F * F * D.

    Args:
        num_fields: F, at least 2.
        dim: D, width of a field vector.
        pooled: whether the D components are summed to one logit, the sum of all dot products. Otherwise the
            output is the bi-interaction vector of width D, for further layers.
        first_order: whether to add a linear term of the vectors: to the logit, or as one more component
            after the bi-interaction vector.

    Example:
        >>> fields = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
        >>> FactorizationMachine(num_fields=3, dim=2)(fields)
        tensor([[67.]])
        >>> FactorizationMachine(num_fields=3, dim=2, pooled=False)(fields)
        tensor([[23., 44.]])
    """

    def __init__(self, num_fields: int, dim: int, pooled: bool = True, first_order: bool = False) -> None:
        super().__init__()
        expect_at_least(2, num_fields=num_fields)
        expect_at_least(1, dim=dim)
        self.num_fields = num_fields
        self.dim = dim
        self.pooled = pooled
        self.first_order = first_order
        self.linear = nn.Linear(num_fields * dim, 1) if first_order else None
        self.out_dim = 1 if pooled else dim + first_order

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, 1)`` logits or ``(B, out_dim)`` products."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        flat, total_BD = fields_BFD.flatten(1), fields_BFD.sum(1)
        # The square of the sum holds each pair twice and each square once, which is subtracted.
        if self.pooled:
            squares_B1 = (flat * flat).sum(1, keepdim=True)
            pairs = 0.5 * ((total_BD * total_BD).sum(1, keepdim=True) - squares_B1)
        else:
            pairs = 0.5 * (total_BD * total_BD - (fields_BFD * fields_BFD).sum(1))
        if self.linear is None:
            return pairs
        linear_B1 = self.linear(flat)
        return pairs + linear_B1 if self.pooled else torch.cat([pairs, linear_B1], dim=1)
