"""Index: finds the best items of a query among item vectors."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

Exclusions: TypeAlias = Sequence[Tensor | Sequence[int]] | tuple[Tensor, Tensor]
"""Ids to exclude: a sequence of int64 ids for each query; or a tuple of all ids, ``(N,)`` int64, and the
``(B + 1,)`` int64 offsets at which the ids of each query start, the last of which is N."""


class Index(Protocol):
    """Finds the k best items of a query; ``retrieval.ExactIndex`` is an implementation.

    The index scores the vectors of the model: an index for a cosine takes the scorer as an argument, or
    normalizes vectors with its ``index_vectors``. Every rank must call both methods if ranks share the items.
    """

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Takes ``(I, D)`` float vectors and their ``(I,)`` int64 ids: on each rank a slice of the items."""

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each query among those of all ranks.

        Args:
            queries_BD: ``(B, D)``, or ``(B, K, D)`` in which case the best score of an item counts.
            k: from 1 to the number of items.
            exclude: ids that must not be returned, see :data:`Exclusions`; ids that are not in the index are
                ignored.

        Returns:
            ``(B, k)`` scores, best first, and ``(B, k)`` int64 ids; -1 if no item is left.
        """
