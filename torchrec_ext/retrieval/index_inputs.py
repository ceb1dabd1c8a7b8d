"""Checks of what an index is built from and searched with."""

import torch
from torch import Tensor

from torchrec_ext.checks import expect_shape, expect_whole
from torchrec_ext.contracts import Scorer
from torchrec_ext.errors import InputError


def ordered_items(vectors_ID: Tensor, ids_I: Tensor) -> tuple[Tensor, Tensor]:
    """Items in the order of their ids, so that the lower place is the lower id.

    Args:
        vectors_ID: (I, D) item vectors; copied only if they are not float32 or their ids do not rise.
        ids_I: (I,) int64 ids.

    Returns:
        (I, D) float32 vectors without a gradient, and (I,) ascending ids.

    Raises:
        InputError: if ids are negative or repeated, or their number is not that of the vectors.
    """
    expect_shape("vectors_ID", vectors_ID, ("items", "D"))
    expect_shape("ids_I", ids_I, ("items",))
    if ids_I.is_floating_point():
        raise InputError(f"ids_I should be integers, received {ids_I.dtype}")
    if ids_I.shape != vectors_ID.shape[:1]:
        raise InputError(f"there are {len(vectors_ID)} item vectors but {len(ids_I)} ids; give each its id")
    ids_I, order = ids_I.sort()
    if len(ids_I) and ids_I[0] < 0:
        raise InputError(f"item id {int(ids_I[0])} is negative; ids are counted from 0")
    repeated = ids_I[1:][ids_I[1:] == ids_I[:-1]]
    if len(repeated):
        raise InputError(f"item id {int(repeated[0])} is given twice; give each item once")
    in_order = bool((order[1:] > order[:-1]).all())
    return (vectors_ID if in_order else vectors_ID[order]).detach().float(), ids_I


def expect_k(k: int, items: int) -> None:
    """Refuses a k that is not a whole number from 1 to the number of items, and an index without items."""
    if not items:
        raise InputError("the index has no items; build() it from at least one")
    expect_whole(0, k=k)
    if not 1 <= k <= items:
        raise InputError(f"k is {k}, but the catalogue has {items} items; choose k from 1 to {items}")


def expect_queries(queries_BD: Tensor) -> None:
    """Refuses queries that are neither (queries, D) nor (queries, K, D), or hold a NaN."""
    if queries_BD.dim() not in (2, 3):
        raise InputError(
            f"queries_BD should be (queries, D) or (queries, K, D), received {tuple(queries_BD.shape)}"
        )
    if torch.isnan(queries_BD).any():
        raise InputError("there is a NaN among the queries; did training diverge?")


@torch.no_grad()
def index_vectors(scorer: Scorer | None, vectors: Tensor) -> Tensor:
    """Float32 queries or items, so that their dot products are the scores if the scorer is indexable."""
    if scorer is None or not scorer.indexable:
        return vectors.float()
    with torch.autocast(vectors.device.type, enabled=False):
        return scorer.index_vectors(vectors.float()).float()  # type: ignore[operator]
