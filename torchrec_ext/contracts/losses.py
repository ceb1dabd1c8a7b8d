"""Losses of retrievers and rankers."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn


class RetrievalLoss(nn.Module, ABC):
    """The loss of a retriever: each target among its candidates; training averages the global batch.

    ``candidates`` names the items that compete with a target; with None training chooses them.
    ``num_sampled`` is the number of draws per step, ``num_in_batch`` the number of the batch's targets that
    compete with every other. Training builds it as ``cls(**arguments)``.
    """

    candidates: Literal["catalogue", "sampled", "in_batch"] | None = None
    num_sampled: int = 512
    num_in_batch: int = 2048

    @abstractmethod
    def forward(self, logits_NC: Tensor, labels_N: Tensor, log_q_C: Tensor | None = None) -> Tensor:
        """Scores of candidates to losses.

        Args:
            logits_NC: ``(N, C)`` float scores of the candidates.
            labels_N: ``(N,)`` int64 position of the target among the candidates; -1 if there is none.
            log_q_C: ``(C,)`` float log-probability that a candidate is among the candidates, or None
                if all items are candidates. If a batch has more than ``num_in_batch`` targets, a row's target
                is its last candidate, with a log-probability of 0; its logit among the others is the lowest
                number.

        Returns:
            ``(N,)`` float32 losses; 0 where the label is -1.
        """


class RankingLoss(nn.Module, ABC):
    """The loss of a ranker: the logits of each pair against its labels; training averages the batch.

    If ``weigh_by_rating``, the weight of a positive is its rating; if ``also_negative``, each positive is a
    negative of weight 1 too. If ``within`` names a label column, the
    rows are a positive and ``negatives`` others of its group, another positive, and so on. Training builds it
    as ``cls(**arguments)``.
    """

    weigh_by_rating: bool = False
    also_negative: bool = False
    within: str | None = None
    negatives: int = 0

    @abstractmethod
    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """``(B, tasks)`` float logits and labels from 0 to 1 to ``(B, tasks)`` float32 losses."""
