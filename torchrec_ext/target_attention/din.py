"""Events weighted by their relevance to the candidate."""

from typing import Literal

import torch
from torch import Tensor, nn

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape
from torchrec_ext.contracts import TargetAttention
from torchrec_ext.errors import InputError
from torchrec_ext.float_weights import float_weights
from torchrec_ext.padding import real_events


class DIN(TargetAttention):
    """Deep interest network: a sum of events, each weighted by a network that reads it and the candidate.

    From "Deep Interest Network for Click-Through Rate Prediction" (Zhou et al. 2018). The network reads the
    event, the candidate and their element-wise product, where the paper has an outer product. Many
    implementations add their difference, which is redundant: the first layer is linear in both. As in the
    paper, weights are not normalised, so many similar events count more than one.

    The paper's activation is Dice, which uses statistics of the batch in training. A row's result then
    depends on the other rows, and each process has its own statistics. PReLU, a special case of Dice, is
    therefore the default. In evaluation Dice uses running statistics, as batch norm does.

    Args:
        dim: D, width of an event and of the candidate; ``out_dim`` is the same.
        hidden: widths of the hidden layers of the small network.
        activation: of the hidden layers: ``"prelu"``, ``"dice"`` or ``"sigmoid"``.
        softmax: whether the weights of a history are normalised by a softmax.

    Example:
        >>> attention = DIN(dim=8)
        >>> attention(torch.rand(2, 8), torch.rand(2, 5, 8), torch.tensor([5, 3])).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        dim: int,
        hidden: tuple[int, ...] = (36,),
        activation: Literal["prelu", "dice", "sigmoid"] = "prelu",
        softmax: bool = False,
    ) -> None:
        super().__init__()
        hidden = tuple(hidden)
        if not hidden:
            raise InputError("hidden should hold the width of at least one layer, such as (36,), received ()")
        expect_at_least(1, dim=dim, hidden=min(hidden))
        expect_one_of("activation", activation, ("prelu", "dice", "sigmoid"))
        self.dim = dim
        self.hidden = hidden
        self.activation = activation
        self.softmax = softmax
        self.out_dim = dim
        self.first = nn.Linear(3 * dim, hidden[0])  # columns of the event, of the candidate, of the product
        self.deeper = nn.ModuleList(nn.Linear(a, b) for a, b in zip(hidden, hidden[1:], strict=False))
        self.activations = nn.ModuleList(_activation(activation, width) for width in hidden)
        self.last = nn.Linear(hidden[-1], 1, bias=not softmax)  # a softmax cancels a constant

    def forward(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """``(B, D)`` candidates, ``(B, T, D)`` events and ``(B,)`` lengths to ``(B, D)`` interests."""
        weights_BT = self.event_weights(target_BD, events_BTD, lengths_B)
        return (weights_BT.unsqueeze(1) @ events_BTD).squeeze(1)

    def event_weights(self, target_BD: Tensor, events_BTD: Tensor, lengths_B: Tensor) -> Tensor:
        """The arguments of ``forward`` to the ``(B, T)`` weights of the events; 0 at padding."""
        expect_shape("target_BD", target_BD, ("batch", self.dim))
        expect_shape("events_BTD", events_BTD, (target_BD.shape[0], "events", self.dim))
        expect_shape("lengths_B", lengths_B, (target_BD.shape[0],))
        real_BT = real_events(events_BTD, lengths_B)
        # W_e e + W_t t + W_p (e * t) = (W_e + W_p * t) e + W_t t: one product, no (B, T, 3D) tensor.
        weight, bias = float_weights(self.first)
        of_event, of_target, of_product = weight.split(self.dim, 1)
        weight_BHD = torch.addcmul(of_event, of_product, target_BD.unsqueeze(1))
        bias_BH = nn.functional.linear(target_BD, of_target, bias)
        hidden_BTH = torch.baddbmm(bias_BH.unsqueeze(1), events_BTD, weight_BHD.transpose(1, 2))
        hidden_BTH = self._activate(0, hidden_BTH, real_BT)
        for number, layer in enumerate(self.deeper, 1):
            hidden_BTH = self._activate(number, layer(hidden_BTH), real_BT)
        weights_BT = self.last(hidden_BTH).squeeze(2)
        if self.softmax:
            # Not -inf: the softmax of an empty history would be NaN.
            weights_BT = weights_BT.masked_fill(~real_BT, -1e4).softmax(1)
        return weights_BT.masked_fill(~real_BT, 0.0)

    def _activate(self, number: int, hidden_BTH: Tensor, real_BT: Tensor) -> Tensor:
        activation = self.activations[number]
        flat_NH = hidden_BTH.flatten(0, 1)
        flat_NH = activation(flat_NH, real_BT.flatten()) if self.activation == "dice" else activation(flat_NH)
        return flat_NH.view(hidden_BTH.shape)


class Dice(nn.Module):
    """Dice: a smooth PReLU that is centred and scaled by the statistics of the batch.

    Args:
        width: number of components; each has its own statistics and slope.
        momentum: weight of a batch's statistics in the update of the running ones.
    """

    mean: Tensor
    variance: Tensor

    def __init__(self, width: int, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.slope = nn.Parameter(torch.full((width,), 0.25))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, values_NH: Tensor, real_N: Tensor) -> Tensor:
        """``(N, H)`` values and ``(N,)`` bool, which rows enter the statistics, to ``(N, H)``."""
        mean_H, variance_H = (
            self._of_batch(values_NH, real_N) if self.training else (self.mean, self.variance)
        )
        share_NH = torch.sigmoid((values_NH - mean_H) * (variance_H + 1e-8).rsqrt())
        return values_NH * torch.lerp(self.slope, torch.ones_like(self.slope), share_NH)

    def _of_batch(self, values_NH: Tensor, real_N: Tensor) -> tuple[Tensor, Tensor]:
        weight_N1 = real_N.unsqueeze(1).to(self.mean.dtype)
        count = weight_N1.sum().clamp(min=1)
        mean_H = (values_NH * weight_N1).sum(0) / count
        variance_H = ((values_NH - mean_H).square() * weight_N1).sum(0) / count
        with torch.no_grad():  # a batch without an event does not change them
            taken = self.momentum * real_N.any().to(self.mean.dtype)
            self.mean.lerp_(mean_H, taken)
            self.variance.lerp_(variance_H, taken)
        return mean_H, variance_H


def _activation(kind: str, width: int) -> nn.Module:
    if kind == "dice":
        return Dice(width)
    return nn.PReLU(width) if kind == "prelu" else nn.Sigmoid()
