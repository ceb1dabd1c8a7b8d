"""Models: what training, evaluation and retrieval take."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from torchrec_ext.batch import Inputs
from torchrec_ext.contracts.scorer import Scorer


class Retriever(nn.Module, ABC):
    """Queries and items to vectors, and a scorer of the two; an index serves it if that is indexable.

    Training overlaps a lookup where ``forward`` gives the batch's tensors to a sharded module once.
    """

    inputs: Inputs
    scorer: Scorer

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """What a training batch is learnt from.

        Args:
            batch: a :class:`~torchrec_ext.batch.Batch` with labels.

        Returns:
            ``(N, D)`` or ``(N, K, D)`` queries and ``(C, D)`` candidates. There is a query for each example,
            or if ``inputs.per_event_labels`` for each event of the histories whose label is not -1.
        """

    @abstractmethod
    def encode_queries(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of users to ``(B, D)`` or ``(B, K, D)``."""

    @abstractmethod
    def encode_items(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of candidates to ``(C, D)``."""


class Ranker(nn.Module, ABC):
    """Examples to logits: may cross user and item freely, and cannot be indexed."""

    inputs: Inputs

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of B user-item pairs to ``(B, tasks)`` logits."""
