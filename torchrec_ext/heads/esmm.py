"""A chain of tasks, whose probabilities are multiplied."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_at_least, expect_shape
from torchrec_ext.contracts import Head
from torchrec_ext.heads._towers import Towers, widths_of


class ESMMHead(Head):
    """Tasks in a chain, such as view, cart and purchase: the probability of each is a product.

    From "Entire Space Multi-Task Model: An Effective Approach for Estimating Post-Click Conversion Rate"
    (Ma et al. 2018), section 2, equation 1: ``pCTCVR = pCTR * pCVR``, where each factor is the sigmoid of a
    tower, and the loss is that of pCTR and of pCTCVR over all pairs, not that of pCVR over the clicked ones.
    Here the chain may have any number of tasks: logit k is that of the product of the sigmoids of towers 0 to
    k. It is computed without the product, whose float is 0 or 1 long before the logit is infinite. The
    probability of one step alone is the ratio of two products.

    The labels of a pair should fall along the chain, such as those of ``positive=(3, 4, 5)``. A term that
    a model adds to the logits would break the product, so a ``Ranker`` needs ``first_order=False``.

    Args:
        in_dim: width of the vector.
        tasks: number of logits, which is the length of the chain.
        tower: widths of the hidden layers of each task's tower; ``()`` makes it linear.

    Example:
        >>> logits = ESMMHead(in_dim=100, tasks=3)(torch.rand(8, 100))
        >>> logits.shape, bool((logits.diff(dim=1) < 0).all())
        (torch.Size([8, 3]), True)
    """

    additive = False

    def __init__(self, in_dim: int, tasks: int = 2, tower: tuple[int, ...] = (32,)) -> None:
        super().__init__()
        expect_at_least(1, in_dim=in_dim, tasks=tasks)
        self.in_dim = in_dim
        self.tasks = tasks
        self.tower = widths_of("tower", tower)
        self.towers = Towers(tasks, (in_dim, *self.tower, 1), shared=True)

    def forward(self, vectors_BD: Tensor) -> Tensor:
        """``(B, in_dim)`` float vectors to ``(B, tasks)`` logits of the products, which fall."""
        expect_shape("vectors_BD", vectors_BD, ("batch", self.in_dim))
        steps_BN = self.towers(vectors_BD).squeeze(2)
        products = [steps_BN[:, 0]]
        for task in range(1, self.tasks):
            products.append(_logit_of_product(products[-1], steps_BN[:, task]))
        return torch.stack(products, 1)


def _logit_of_product(first_B: Tensor, second_B: Tensor) -> Tensor:
    """The logit of ``sigmoid(first) * sigmoid(second)``.

    From ``1 / p - 1 = (1 + exp(-first)) * (1 + exp(-second)) - 1``.
    """
    terms_3B = torch.stack([-first_B, -second_B, -first_B - second_B])
    return -terms_3B.logsumexp(0)
