"""Index: item vectors to the best for a query."""

from collections.abc import Sequence
from typing import Protocol, TypeAlias

from torch import Tensor

Exclusions: TypeAlias = Sequence[Tensor | Sequence[int]] | tuple[Tensor, Tensor]
"""Ids to leave out: a sequence of int64 ids for each query; or a tuple of all of them, ``(N,)`` int64, and
the ``(B + 1,)`` int64 offsets at which those of each query begin, the last of which is N."""


class Index(Protocol):
    """Item vectors to the k best for a query; ``retrieval.ExactIndex`` is one.

    The index scores vectors as the model makes them: one for a cosine is given the scorer, or normalises
    with its ``index_vectors``. Both methods are collective where several ranks share the items.
    """

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Takes ``(I, D)`` float vectors and their ``(I,)`` int64 ids: on each rank a slice of the items."""

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each query among those of all ranks.

        Args:
            queries_BD: ``(B, D)``, or ``(B, K, D)`` of which an item's best score counts.
            k: from 1 to the number of items.
            exclude: ids that must not come back, of the forms that :data:`Exclusions` names; one that is
                not in the index is passed over.

        Returns:
            ``(B, k)`` scores, best first, and ``(B, k)`` int64 ids; -1 where no item is left.
        """
