"""Softmax cross-entropy over candidates: a function, and a loss module for training."""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from torchrec_ext.checks import expect_at_least, expect_one_of, expect_shape
from torchrec_ext.contracts import RetrievalLoss
from torchrec_ext.errors import InputError

CandidateKind = Literal["catalogue", "sampled", "in_batch"]


class SoftmaxCrossEntropy(RetrievalLoss):
    """The negative log-likelihood of each target among the candidates, with logQ correction.

    From "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations" (Yi et al. 2019).

    Of a batch with more than ``num_in_batch`` targets, that many compete with every target, so that the cost
    grows linearly with the batch. A target always competes itself, without a correction; another item i does
    with probability ``1 - (1 - p_i)**num_in_batch * (1 - 1/I)**num_sampled``, where p_i is its share of the
    training events and I the number of items, and the logarithm of it is subtracted from its logit. With
    fewer targets all of them compete, and this correction is that of every candidate.

    Args:
        candidates: the items that compete: ``"catalogue"``, ``"sampled"`` (the targets of the batch and a
            sample) or ``"in_batch"`` (the targets of the batch); None takes the catalogue up to 50,000
            items, and a sample if there are more or if the scorer is not indexable.
        num_sampled: number of draws per step, for ``"sampled"``.
        num_in_batch: the most targets of a batch that compete with every other, for ``"sampled"`` and
            ``"in_batch"``.

    Raises:
        InputError: for another kind of candidates, or fewer than one draw or target.

    Example:
        >>> import torch
        >>> SoftmaxCrossEntropy()(torch.zeros(2, 4), torch.tensor([3, -1]))
        tensor([1.3863, 0.0000])
    """

    def __init__(
        self, candidates: CandidateKind | None = None, num_sampled: int = 512, num_in_batch: int = 2048
    ) -> None:
        super().__init__()
        if candidates is not None:
            expect_one_of("candidates", candidates, get_args(CandidateKind))
        expect_at_least(1, num_sampled=num_sampled, num_in_batch=num_in_batch)
        self.candidates = candidates
        self.num_sampled = num_sampled
        self.num_in_batch = num_in_batch

    def forward(self, logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
        return softmax_cross_entropy(logits_NC, labels_N, log_q_C=log_q_C, reduction="none")


def softmax_cross_entropy(
    logits_NC: Tensor,
    labels_N: Tensor,
    weights_N: Tensor | None = None,
    *,
    log_q_C: Tensor | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
) -> Tensor:
    """The negative log-likelihood of each row's target among the candidates.

    If the candidates are a sample of the catalogue, subtracting the log-probability of being in the sample
    makes the gradient approximately that of the softmax over the catalogue: "On Using Very Large
    Target Vocabulary for Neural Machine Translation" (Jean et al. 2015); for candidates that are the
    targets of the batch "Sampling-Bias-Corrected Neural Modeling for Large Corpus Item
    Recommendations" (Yi et al. 2019).

    It may be called in a model that TorchRec's train pipeline traces.

    Args:
        logits_NC: ``(N, C)`` float scores of the candidates.
        labels_N: ``(N,)`` int64 position of the target among the candidates; -1 leaves the row out.
        weights_N: ``(N,)`` weight of each row, or None for ones.
        log_q_C: ``(C,)`` log-probability that a candidate is among the candidates, or None for
            zeros, which is right for the whole catalogue.
        reduction: ``"sum"``, ``"mean"`` for the sum over the sum of the weights, or ``"none"``.

    Returns:
        A float32 scalar; zero, with a gradient of zero, if no row or weight is left. For ``"none"``
        the ``(N,)`` weighted losses.

    Raises:
        InputError: if a shape does not fit the logits; on a CPU also if a label is not a candidate.

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
    expect_one_of("reduction", reduction, ("mean", "sum", "none"))
    expect_shape("logits_NC", logits_NC, ("targets", "candidates"))
    rows, candidates = logits_NC.shape
    expect_shape("labels_N", labels_N, (rows,))
    expect_candidates(labels_N, candidates)
    logits_NC = logits_NC.float()
    if log_q_C is not None:
        expect_shape("log_q_C", log_q_C, (candidates,))
        logits_NC = logits_NC - log_q_C
    losses_N = functional.cross_entropy(logits_NC, labels_N, ignore_index=-1, reduction="none")
    if weights_N is not None:
        expect_shape("weights_N", weights_N, (rows,))
        # Not torch's weight argument, which is a weight of each class.
        losses_N = losses_N * weights_N.float()
    if reduction == "none":
        return losses_N
    if reduction == "sum":
        return losses_N.sum()
    counted_N = (labels_N >= 0).float() if weights_N is None else weights_N.float() * (labels_N >= 0)
    return losses_N.sum() / counted_N.sum().clamp(min=_SMALLEST)


def expect_candidates(labels_N: Tensor, candidates: int) -> None:
    """Refuses a label that is not a candidate.

    On a GPU the check would wait for the labels; there an assertion of CUDA stops the process.
    """
    if labels_N.device.type != "cpu" or torch.compiler.is_compiling() or not len(labels_N):
        return
    least, most = (int(label) for label in labels_N.aminmax())
    if least < -1 or most >= candidates:
        wrong = most if most >= candidates else least
        raise InputError(
            f"labels_N should be from -1 to {candidates - 1}, as there are {candidates} candidates; "
            f"received {wrong}"
        )


_SMALLEST = 1e-12
