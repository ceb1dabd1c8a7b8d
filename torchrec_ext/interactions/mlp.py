"""Fully connected layers over the field vectors."""

from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.dropout import Dropout
from torchrec_ext.errors import InputError


class MLPInteraction(Interaction):
    """Fully connected layers with ReLU and dropout over all field vectors.

    ``Parallel`` combines it with a shallow interaction, as in wide-and-deep rankers.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        hidden: widths of the layers; the last one is ``out_dim``.
        dropout: share of each layer's output zeroed in training.

    Example:
        >>> import torch
        >>> MLPInteraction(num_fields=3, dim=8, hidden=(16, 4))(torch.rand(2, 3, 8)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self, num_fields: int, dim: int, hidden: tuple[int, ...] = (64, 32), dropout: float = 0.0
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim)
        if not hidden:
            raise InputError("hidden should hold the width of at least one layer, received ()")
        expect_at_least(1, hidden=min(hidden))
        expect_dropout(dropout)
        self.num_fields = num_fields
        self.dim = dim
        self.hidden = tuple(hidden)
        self.dropout = dropout
        self.out_dim = hidden[-1]
        layers: list[nn.Module] = []
        for width, out in zip((num_fields * dim, *hidden), hidden, strict=False):
            layers += [nn.Linear(width, out), nn.ReLU(inplace=True), Dropout(dropout)]
        self.layers = nn.Sequential(*layers)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, hidden[-1])``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        return self.layers(fields_BFD.flatten(1))
