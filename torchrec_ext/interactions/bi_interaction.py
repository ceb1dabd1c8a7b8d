"""The bi-interaction pooling of neural factorization machines."""

from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.dropout import Dropout


class BiInteraction(Interaction):
    """The sum of the element-wise products of all pairs of field vectors, with dropout.

    From "Neural Factorization Machines for Sparse Predictive Analytics" (He, Chua 2017), equations 3 and 4:
    half of the squared sum less the sum of squares, which takes F * D multiplications. Layers above it make
    the paper's NFM; summed over its components it is a factorization machine. The paper also normalizes the
    vector over the batch, which is left out here.

    Args:
        num_fields: F, at least 2.
        dim: D, width of a field vector.
        dropout: share of the vector's components zeroed in training.

    Example:
        >>> import torch
        >>> BiInteraction(num_fields=3, dim=2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]]))
        tensor([[23., 44.]])
    """

    def __init__(self, num_fields: int, dim: int, dropout: float = 0.0) -> None:
        super().__init__()
        expect_at_least(2, num_fields=num_fields)
        expect_at_least(1, dim=dim)
        expect_dropout(dropout)
        self.num_fields = num_fields
        self.dim = dim
        self.dropout = dropout
        self.out_dim = dim
        self.drop = Dropout(dropout)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        total_BD = fields_BFD.sum(1)
        return self.drop(0.5 * (total_BD * total_BD - (fields_BFD * fields_BFD).sum(1)))
