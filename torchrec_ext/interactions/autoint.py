"""Self-attention over the fields."""

from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_dropout, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class AutoInt(Interaction):
    """Layers in which every field attends to all fields, with a residual map and ReLU.

    From "AutoInt: Automatic Feature Interaction Learning via Self-Attentive Neural Networks" (Song et
    al. 2019). Scores are divided by the square root of a head's width, as in the authors' code but not in the
    text. The output concatenates the last vectors of all fields; a linear head gives the paper's logit.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        layers: number of layers.
        heads: number of attention heads.
        hidden: width of a field's vector after a layer, a multiple of ``heads``.
        dropout: share of attention weights zeroed in training.

    Example:
        >>> import torch
        >>> AutoInt(num_fields=3, dim=8, heads=2, hidden=16)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 48])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        layers: int = 3,
        heads: int = 2,
        hidden: int = 64,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, layers=layers, heads=heads, hidden=hidden)
        expect_dropout(dropout)
        if hidden % heads:
            raise InputError(f"hidden should be a multiple of heads, received hidden={hidden}, heads={heads}")
        self.num_fields = num_fields
        self.dim = dim
        self.layers = layers
        self.heads = heads
        self.hidden = hidden
        self.dropout = dropout
        self.out_fields = num_fields
        self.out_dim = num_fields * hidden
        widths = [dim, *[hidden] * (layers - 1)]
        # Rows of a weight: all heads' queries, then keys, then values.
        self.maps = nn.ModuleList(nn.Linear(width, 3 * hidden, bias=False) for width in widths)
        self.residuals = nn.ModuleList(nn.Linear(width, hidden, bias=False) for width in widths)

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, F * hidden)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        scale = (self.hidden // self.heads) ** -0.5
        vectors_BFH = fields_BFD
        for layer, residual in zip(self.maps, self.residuals, strict=True):
            by_head = layer(vectors_BFH).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            queries, keys, values = by_head.contiguous().unbind(0)
            # With so few fields the backward pass of torch's fused attention takes twice as long on CPU.
            weights_BHFF = (queries * scale @ keys.transpose(2, 3)).softmax(3)
            weights_BHFF = functional.dropout(weights_BHFF, self.dropout, self.training)
            attended_BFH = (weights_BHFF @ values).transpose(1, 2).flatten(2)
            vectors_BFH = (attended_BFH + residual(vectors_BFH)).relu_()
        return vectors_BFH.flatten(1)
