"""Planted item and query vectors for the benchmark of indexes."""

import torch
from torch import Tensor

_CLUSTERS, _WITHIN = 1000, 0.6


def planted(items: int, dim: int, queries: int) -> tuple[Tensor, Tensor]:
    """Item and query vectors of a thousand tastes, with the decaying spectrum that learnt vectors have.

    Without such structure no item is near another, which is harder for every approximate index, and unlike
    what a model learns.

    Args:
        items: number of items.
        dim: width of the vectors.
        queries: number of queries, from the same tastes.

    Returns:
        ``(items, dim)`` and ``(queries, dim)`` float32 vectors, of different norms.
    """
    generator = torch.Generator().manual_seed(0)
    scale_D = torch.arange(1, dim + 1) ** -0.5
    centres_CD = torch.randn(_CLUSTERS, dim, generator=generator) * scale_D

    def draw(count: int) -> Tensor:
        tastes = torch.randint(_CLUSTERS, (count,), generator=generator)
        return centres_CD[tastes] + _WITHIN * scale_D * torch.randn(count, dim, generator=generator)

    asked = draw(queries)  # first, so that they do not depend on the number of items
    return draw(items), asked
