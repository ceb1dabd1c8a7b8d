"""Concatenation of all field vectors."""

from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Interaction


class ConcatInteraction(Interaction):
    """The field vectors concatenated: the over arch after it learns the interactions.

    Args:
        num_fields: F.
        dim: D, width of a field vector.

    Example:
        >>> import torch
        >>> ConcatInteraction(num_fields=2, dim=2)(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
        tensor([[1., 2., 3., 4.]])
    """

    def __init__(self, num_fields: int, dim: int) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        self.num_fields = num_fields
        self.dim = dim
        self.out_fields = num_fields
        self.out_dim = num_fields * dim

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, F * D)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return fields_BFD.flatten(1)
