"""Several small networks of the same widths, computed together."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from torchrec_ext.errors import InputError


class Towers(nn.Module):
    """Networks of the same widths with separate weights; a layer of all networks is one matrix product.

    Args:
        number: N, number of networks.
        widths: widths of the input, the hidden layers and the output.
        shared: whether all networks read one vector; otherwise each has its own.
        last_relu: whether ReLU also follows the last layer.

    Example:
        >>> Towers(3, (8, 4, 1), shared=False)(torch.rand(2, 3, 8)).shape
        torch.Size([2, 3, 1])
    """

    def __init__(self, number: int, widths: Sequence[int], *, shared: bool, last_relu: bool = False) -> None:
        super().__init__()
        self.number = number
        self.shared = shared
        self.last_relu = last_relu
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for into, out in zip(widths, widths[1:], strict=False):
            bound = into**-0.5  # as nn.Linear draws them
            self.weights.append(nn.Parameter(torch.empty(number, out, into).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(number, out).uniform_(-bound, bound)))

    def forward(self, vectors: Tensor) -> Tensor:
        """``(B, in)`` shared or ``(B, N, in)`` separate vectors to ``(B, N, out)``."""
        last = len(self.weights) - 1
        own_NBH = vectors.transpose(0, 1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if self.shared and layer == 0:
                flat = functional.linear(vectors, weight.flatten(0, 1), bias.flatten())
                own_NBH = flat.unflatten(1, (self.number, -1)).transpose(0, 1)
            else:
                own_NBH = torch.baddbmm(bias.unsqueeze(1), own_NBH, weight.transpose(1, 2))
            if layer < last or self.last_relu:
                own_NBH = own_NBH.relu()
        return own_NBH.transpose(0, 1)


def widths_of(name: str, widths: Sequence[int]) -> tuple[int, ...]:
    """The widths as a tuple.

    Raises:
        InputError: for a width below 1.
    """
    for width in widths:
        if width < 1:
            raise InputError(f"{name} should be at least 1 each, received {tuple(widths)}")
    return tuple(widths)
