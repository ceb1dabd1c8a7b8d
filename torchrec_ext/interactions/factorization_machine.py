"""A factorization machine over the field vectors."""

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class FactorizationMachine(Interaction):
    """The sum of the products of all pairs of field vectors, plus a linear term.

    From "Factorization Machines" (Rendle 2010). There a feature has a weight of its own beside its
    vector; tables here hold vectors alone, so the linear term reads the vectors: one learnt vector of
    weights a field, and a bias. The sum over pairs takes F * D steps, not F * F * D.

    Args:
        num_fields: F, at least 2.
        dim: D, width of a field vector.
        pooled: whether each pair gives the sum of its products, a dot product, so that the output is one
            logit. Otherwise the D products are kept apart: the bi-interaction vector, which layers
            above may read.
        first_order: whether there is a linear term: part of the logit, or after the bi-interaction
            vector one component more.

    Example:
        >>> fields = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]])
        >>> FactorizationMachine(num_fields=3, dim=2, first_order=False)(fields)
        tensor([[67.]])
        >>> FactorizationMachine(num_fields=3, dim=2, pooled=False, first_order=False)(fields)
        tensor([[23., 44.]])
    """

    def __init__(self, num_fields: int, dim: int, pooled: bool = True, first_order: bool = True) -> None:
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
        # Each pair once: the square of the sum holds it twice, and every square, which goes off again.
        if self.pooled:
            squares_B1 = (flat * flat).sum(1, keepdim=True)
            pairs = 0.5 * ((total_BD * total_BD).sum(1, keepdim=True) - squares_B1)
        else:
            pairs = 0.5 * (total_BD * total_BD - (fields_BFD * fields_BFD).sum(1))
        if self.linear is None:
            return pairs
        linear_B1 = self.linear(flat)
        return pairs + linear_B1 if self.pooled else torch.cat([pairs, linear_B1], dim=1)
