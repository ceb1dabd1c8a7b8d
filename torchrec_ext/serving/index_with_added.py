"""IndexWithAdded: an index as it was built, and beside it the items that were added since."""

import torch
from torch import Tensor

from torchrec_ext.contracts import Exclusions, Index, Scorer
from torchrec_ext.retrieval.exact_index import ExactIndex
from torchrec_ext.retrieval.jagged_ids import as_jagged


class IndexWithAdded:
    """Searches added items exactly, and the others by an index that is not built again.

    Args:
        built: the index.
        items: how many items it has.
        scorer: of queries and items; None for the dot product.

    Example:
        >>> built = ExactIndex()
        >>> built.build(torch.tensor([[1.0], [2.0]]), torch.tensor([7, 8]))
        >>> index = IndexWithAdded(built, items=2)
        >>> index.build(torch.tensor([[0.5], [3.0]]), torch.tensor([8, 9]))  # item 8 has changed
        >>> [found.tolist() for found in index.search(torch.tensor([[1.0]]), k=3)]
        [[[3.0, 1.0, 0.5]], [[9, 7, 8]]]
    """

    def __init__(self, built: Index, items: int, scorer: Scorer | None = None) -> None:
        self.built, self.items = built, items
        self._added = ExactIndex(scorer)

    def build(self, vectors_ID: Tensor, ids_I: Tensor) -> None:
        """Takes the ``(I, D)`` vectors and (I,) int64 ids of the added items, at least one.

        Those that the built index has too are left out of what it finds.
        """
        self._added.build(vectors_ID, ids_I)
        self._ids_I = ids_I

    def search(self, queries_BD: Tensor, k: int, exclude: Exclusions | None = None) -> tuple[Tensor, Tensor]:
        """The k best items of each query; arguments and results as those of ``ExactIndex.search``."""
        values, offsets = as_jagged(exclude, len(queries_BD), "exclude", self._ids_I.device)
        stale = [torch.cat([own, self._ids_I]) for own in values.tensor_split(offsets[1:-1])]
        pairs = (
            self.built.search(queries_BD, min(k, self.items), stale),
            self._added.search(queries_BD, min(k, len(self._ids_I)), (values, offsets)),
        )
        scores, ids = (torch.cat(parts, 1) for parts in zip(*pairs, strict=True))
        ids, order = ids.sort(dim=1)  # of equal scores the lower id comes first
        scores, best = scores.gather(1, order).sort(dim=1, descending=True, stable=True)
        return scores[:, :k], ids.gather(1, best)[:, :k]
