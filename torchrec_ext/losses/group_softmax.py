"""Softmax cross-entropy of a pair among the others of its group, such as the articles of an impression."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import RankingLoss


class GroupSoftmax(RankingLoss):
    """The negative log-probability of each positive among itself and some negatives of its group.

    A choice among what was shown: training pairs each positive of a group with ``negatives`` pairs of the
    same group that are not, drawn anew in every step. From "Neural News Recommendation with Multi-Head
    Self-Attention" (Wu et al. 2019, section 3.3).

    Args:
        within: the label column whose value the pairs of a group share, such as the number of an impression.
        negatives: pairs that each positive competes with.

    Example:
        >>> import torch
        >>> loss = GroupSoftmax("impression", negatives=1)
        >>> loss(torch.tensor([[0.0], [0.0]]), torch.tensor([[1.0], [0.0]])).tolist()
        [[0.6931471824645996], [0.0]]
    """

    cannot = {"other_rows_do_not_change_a_result": "the rows of a group compete with each other"}

    def __init__(self, within: str = "impression", negatives: int = 4) -> None:
        super().__init__()
        expect_at_least(1, negatives=negatives)
        self.within = within
        self.negatives = negatives

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return _group_softmax(logits.float(), labels.float(), self.negatives + 1)


# torch.fx would trace the check of the shape.
@torch.fx.wrap
def _group_softmax(logits: Tensor, labels: Tensor, size: int) -> Tensor:
    expect_shape("labels", labels, tuple(logits.shape))
    groups = torch.arange(logits.shape[0], device=logits.device) // size
    places = groups[:, None].expand_as(logits)
    lowest = torch.full_like(logits, torch.finfo(torch.float32).min)
    highest = lowest.scatter_reduce(0, places, logits.detach(), "amax").gather(0, places)
    sums = torch.zeros_like(logits).scatter_add(0, places, (logits - highest).exp()).gather(0, places)
    return -labels * (logits - highest - sums.log())
