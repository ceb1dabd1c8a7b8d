"""Batches of row ids for a benchmark of embedding tables: uniform or Zipf-distributed, seeded."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class IdBatch:
    """One step's lookups of one rank: T tables, B bags per table, P ids per bag.

    Args:
        ids_TBP: (T, B, P) int64 rows, each a row of its table.
        lengths: (T * B,) int64, length of each bag, which is P.
        gather_rows: (T * B * P,) int64 rows of all tables, stacked.
    """

    ids_TBP: Tensor
    lengths: Tensor
    gather_rows: Tensor

    def distinct_rows(self) -> int:
        """Number of distinct rows that the batch looks up, which an update must write."""
        return self.gather_rows.unique().numel()


def make_batches(
    count: int,
    *,
    tables: int,
    rows: int,
    batch: int,
    pooling: int,
    zipf: float = 0.0,
    seed: int = 0,
    rank: int = 0,
    device: torch.device | str = "cpu",
) -> list[IdBatch]:
    """Draws ``count`` batches.

    Args:
        count: number of batches.
        tables: number of tables T.
        rows: rows of a table.
        batch: bags per table B.
        pooling: ids per bag P.
        zipf: 0 for uniform ids; otherwise the probability of the k-th most frequent row is proportional to
            k ** -zipf.
        seed: determines the ids together with ``rank``; the frequent rows depend on the seed alone, so that
            they are the same on all ranks.
        rank: the rank that looks the ids up.
        device: of the batches.

    Returns:
        The batches; they do not depend on ``device``.

    Example:
        >>> first = make_batches(1, tables=2, rows=10, batch=3, pooling=4)[0]
        >>> first.ids_TBP.shape, int(first.gather_rows[12:].min()) >= 10
        (torch.Size([2, 3, 4]), True)
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + rank)
    shape = (tables, batch, pooling)
    if zipf:
        shuffler = torch.Generator().manual_seed(seed)
        # Frequent rows are scattered over the table, as with ids in order of first appearance.
        row_of_frequency_rank = torch.stack([torch.randperm(rows, generator=shuffler) for _ in range(tables)])
        chances = torch.arange(1, rows + 1, dtype=torch.float64).pow_(-zipf).cumsum_(0)
        chances /= chances[-1].clone()
    offsets = torch.arange(tables).view(-1, 1, 1) * rows
    batches = []
    for _ in range(count):
        if zipf:
            drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
            frequency_ranks = torch.searchsorted(chances, drawn).clamp_(max=rows - 1)
            ids_TBP = row_of_frequency_rank.gather(1, frequency_ranks.view(tables, -1)).view(shape)
        else:
            ids_TBP = torch.randint(rows, shape, generator=generator)
        batches.append(
            IdBatch(
                ids_TBP=ids_TBP.to(device),
                lengths=torch.full((tables * batch,), pooling, device=device),
                gather_rows=(ids_TBP + offsets).flatten().to(device),
            )
        )
    return batches
