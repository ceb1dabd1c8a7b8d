"""Binary cross-entropy of logits: a function, and a loss module for training."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from torchrec_ext.checks import expect_one_of, expect_shape
from torchrec_ext.contracts import RankingLoss
from torchrec_ext.errors import InputError


class BinaryCrossEntropy(RankingLoss):
    """The negative log-likelihood of each label under the logit's sigmoid.

    With ``weigh_by_rating`` it is the weighted logistic regression of watch time. From "Deep Neural
    Networks for YouTube Recommendations" (Covington, Adams, Sargin 2016).

    Args:
        weigh_by_rating: whether the weight of a positive is its rating, such as the seconds watched.
        also_negative: whether a positive so weighed is a negative of weight 1 too. The odds of each task are
            then its expected rating; without it they are that over the share of negatives, which is close
            only where positives are rare, as in the paper.

    Raises:
        InputError: for ``also_negative`` without ``weigh_by_rating``.

    Example:
        >>> import torch
        >>> BinaryCrossEntropy()(torch.tensor([[0.0]]), torch.tensor([[1.0]]))
        tensor([[0.6931]])
    """

    def __init__(self, weigh_by_rating: bool = False, also_negative: bool = False) -> None:
        super().__init__()
        if also_negative and not weigh_by_rating:
            raise InputError("also_negative is for positives that are weighed; set weigh_by_rating=True too")
        self.weigh_by_rating = weigh_by_rating
        self.also_negative = also_negative

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return binary_cross_entropy(logits, labels, reduction="none")


def binary_cross_entropy(
    logits: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    *,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """The negative log-likelihood of labels of 0 and 1, or of probabilities in between.

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        logits: float logits of any shape.
        labels: labels of the same shape, from 0 to 1, float, integer or bool.
        weights: weights of the same shape, or None for ones.
        reduction: ``"sum"``, ``"mean"`` for the sum over the sum of the weights, or ``"none"``.

    Returns:
        A float32 scalar; zero, with a gradient of zero, if all weights are zero. For ``"none"`` the
        weighted losses in the shape of the logits.

    Raises:
        InputError: if a shape differs from that of the logits.

    Example:
        >>> import torch
        >>> binary_cross_entropy(torch.tensor([0.0, 0.0]), torch.tensor([1, 0]))
        tensor(0.6931)
    """
    return _binary_cross_entropy(logits, labels, weights, reduction)


# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to.
@torch.fx.wrap
def _binary_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None, reduction: str) -> Tensor:
    expect_one_of("reduction", reduction, ("mean", "sum", "none"))
    expect_shape("labels", labels, tuple(logits.shape))
    if weights is not None:
        expect_shape("weights", weights, tuple(logits.shape))
        weights = weights.float()
    total = functional.binary_cross_entropy_with_logits(
        logits.float(), labels.float(), weights, reduction="none" if reduction == "none" else "sum"
    )
    if reduction != "mean":
        return total
    if weights is None:
        return total / max(labels.numel(), 1)
    return total / weights.sum().clamp(min=_SMALLEST)


_SMALLEST = 1e-12
