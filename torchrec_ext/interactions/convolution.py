"""A convolution over the field vectors."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape
from torchrec_ext.contracts import Interaction
from torchrec_ext.errors import InputError


class ConvolutionInteraction(Interaction):
    """One convolution with ReLU over the field vectors.

    With ``channels="width"`` the D components are the channels, and the convolution slides over the F fields:
    with two fields and a kernel of 2, each filter is a weighted sum of both vectors. With
    ``channels="fields"`` the F fields are the channels, and the convolution slides over the D components,
    which costs D / F times as much and combines only components with neighbouring indices.

    The output holds all filters at the first position, then all filters at the second, and so on.

    Args:
        num_fields: F.
        dim: D, width of a field vector.
        filters: number of filters.
        kernel_size: number of neighbouring fields, or components for ``"fields"``, that a filter covers.
        channels: ``"width"`` or ``"fields"``.

    Example:
        >>> import torch
        >>> ConvolutionInteraction(num_fields=2, dim=50)(torch.rand(8, 2, 50)).shape
        torch.Size([8, 100])
        >>> ConvolutionInteraction(2, 50, filters=3, channels="fields")(torch.rand(8, 2, 50)).shape
        torch.Size([8, 147])
    """

    def __init__(
        self,
        num_fields: int,
        dim: int,
        filters: int = 100,
        kernel_size: int = 2,
        channels: Literal["width", "fields"] = "width",
    ) -> None:
        super().__init__()
        expect_at_least(1, num_fields=num_fields, dim=dim, filters=filters, kernel_size=kernel_size)
        expect_one_of("channels", channels, ("width", "fields"))
        length, depth = (num_fields, dim) if channels == "width" else (dim, num_fields)
        if kernel_size > length:
            slid = "fields" if channels == "width" else "components"
            raise InputError(
                f"kernel_size should be at most {length}, the number of {slid} it slides over, "
                f"received {kernel_size}"
            )
        self.num_fields = num_fields
        self.dim = dim
        self.filters = filters
        self.kernel_size = kernel_size
        self.channels = channels
        self.convolution = nn.Conv1d(depth, filters, kernel_size)
        self.out_fields = length - kernel_size + 1
        self.out_dim = self.out_fields * filters

    def forward(self, fields_BFD: Tensor) -> Tensor:
        """``(B, F, D)`` float field vectors to ``(B, out_dim)``."""
        expect_shape("fields_BFD", fields_BFD, ("batch", self.num_fields, self.dim))
        slid_BLC = fields_BFD if self.channels == "width" else fields_BFD.transpose(1, 2)
        # Windows and one matrix product are 2 to 8 times faster on CPU than the convolution.
        windows_BLK = slid_BLC.unfold(1, self.kernel_size, 1).flatten(2)
        weight = self.convolution.weight.flatten(1)
        return functional.linear(windows_BLK, weight, self.convolution.bias).relu_().flatten(1)
