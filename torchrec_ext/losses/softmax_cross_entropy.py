"""Softmax cross-entropy over candidates."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from torchrec_ext.checks import expect_one_of, expect_shape


def softmax_cross_entropy(
    logits_NC: Tensor,
    labels_N: Tensor,
    weights_N: Tensor | None = None,
    *,
    log_q_C: Tensor | None = None,
    reduction: Literal["mean", "sum"] = "mean",
) -> Tensor:
    """The negative log-likelihood of each row's target among the candidates.

    Where the candidates are a sample of the catalogue, subtracting the log-probability of being in
    the sample makes the gradient that of the whole catalogue's softmax, nearly: "On Using Very Large
    Target Vocabulary for Neural Machine Translation" (Jean et al. 2015); for candidates that are the
    batch's own targets "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations" (Yi et al. 2019).

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        logits_NC: ``(N, C)`` float scores of the candidates.
        labels_N: ``(N,)`` int64 place of the target among the candidates; -1 leaves the row out.
        weights_N: ``(N,)`` weight of each row, or None for ones.
        log_q_C: ``(C,)`` log-probability that a candidate is among the candidates, or None for
            zeros, which is right for the whole catalogue.
        reduction: ``"sum"``, or ``"mean"`` for the sum over the sum of the weights.

    Returns:
        A float32 scalar; zero, with a gradient of zero, where no row or weight is left.

    Raises:
        InputError: if a shape does not fit the logits'.

    Example:
        >>> import torch
        >>> softmax_cross_entropy(torch.zeros(2, 4), torch.tensor([3, -1]))
        tensor(1.3863)
    """
    return _softmax_cross_entropy(logits_NC, labels_N, weights_N, log_q_C, reduction)


# torch.fx patches a wrapped function in the module that defines it, not where a user imports it to.
@torch.fx.wrap
def _softmax_cross_entropy(
    logits_NC: Tensor, labels_N: Tensor, weights_N: Tensor | None, log_q_C: Tensor | None, reduction: str
) -> Tensor:
    expect_one_of("reduction", reduction, ("mean", "sum"))
    expect_shape("logits_NC", logits_NC, ("targets", "candidates"))
    rows, candidates = logits_NC.shape
    expect_shape("labels_N", labels_N, (rows,))
    logits_NC = logits_NC.float()
    if log_q_C is not None:
        expect_shape("log_q_C", log_q_C, (candidates,))
        logits_NC = logits_NC - log_q_C
    if weights_N is None:
        total = functional.cross_entropy(logits_NC, labels_N, ignore_index=-1, reduction="sum")
        divisor = (labels_N >= 0).sum().clamp(min=1)
    else:
        expect_shape("weights_N", weights_N, (rows,))
        # Not torch's own weight argument, which is a weight of each class.
        losses_N = functional.cross_entropy(logits_NC, labels_N, ignore_index=-1, reduction="none")
        total = (losses_N * weights_N.float()).sum()
        divisor = (weights_N.float() * (labels_N >= 0)).sum().clamp(min=_SMALLEST)
    return total if reduction == "sum" else total / divisor


_SMALLEST = 1e-12
