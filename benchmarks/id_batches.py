"""Batches of row ids for a benchmark of embedding tables: uniform or Zipf-distributed, seeded."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class IdBatch:
    """One step's lookups of one rank: T tables, B bags a table, P ids a bag.

    Args:
        ids_TBP: (T, B, P) int64 rows, each of its own table.
        lengths: (T * B,) int64, every bag's length, which is P.
        gather_rows: (T * B * P,) int64 rows of all tables stacked one above the other.
    """

    ids_TBP: Tensor
    lengths: Tensor
    gather_rows: Tensor

    def distinct_rows(self) -> int:
        """How many different rows of all tables the batch touches: what an update must write."""
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
        batch: bags a table B.
        pooling: ids a bag P.
        zipf: 0 for uniform ids; otherwise the k-th most frequent row has a chance of k ** -zipf.
        seed: together with ``rank`` it fixes the ids; which rows are the frequent ones depends on the
            seed alone, so that all ranks share them.
        rank: the rank that looks the ids up.
        device: where the batches lie.

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
        # Frequent rows lie scattered over the table, as they do where ids are given out by arrival.
        row_of_place = torch.stack([torch.randperm(rows, generator=shuffler) for _ in range(tables)])
        chances = torch.arange(1, rows + 1, dtype=torch.float64).pow_(-zipf).cumsum_(0)
        chances /= chances[-1].clone()
    offsets = torch.arange(tables).view(-1, 1, 1) * rows
    batches = []
    for _ in range(count):
        if zipf:
            drawn = torch.rand(shape, generator=generator, dtype=torch.float64)
            places = torch.searchsorted(chances, drawn).clamp_(max=rows - 1)
            ids_TBP = row_of_place.gather(1, places.view(tables, -1)).view(shape)
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
