"""Models: retrievers and rankers, for training, evaluation and retrieval."""

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from torchrec_ext.batch import Inputs
from torchrec_ext.contracts.scorer import Scorer


class Retriever(nn.Module, ABC):
    """Queries and items to vectors, and a scorer of both; an index can serve it if the scorer is indexable.

    Training overlaps a lookup if ``forward`` passes the tensors of the batch to a sharded module once.
    """

    inputs: Inputs
    scorer: Scorer

    @abstractmethod
    def forward(self, batch: Any) -> tuple[Tensor, Tensor]:
        """Encodes a training batch.

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
    """Examples to logits: it may combine user and item freely, and cannot be indexed."""

    inputs: Inputs

    @abstractmethod
    def forward(self, batch: Any) -> Tensor:
        """A :class:`~torchrec_ext.batch.Batch` of B user-item pairs to ``(B, tasks)`` logits."""
