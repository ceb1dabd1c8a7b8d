"""Ids: their shapes, their distribution, and what the seed and the rank fix."""

import doctest

import id_batches
import torch


def test_batches_of_ids() -> None:
    batch = id_batches.make_batches(1, tables=3, rows=7, batch=4, pooling=5)[0]
    assert batch.lengths.tolist() == [5] * 12
    assert batch.gather_rows.view(3, 4, 5).sub(batch.ids_TBP)[:, 0, 0].tolist() == [0, 7, 14]
    assert batch.distinct_rows() == len(set(batch.gather_rows.tolist()))


def test_zipf_frequencies() -> None:
    drawn = [
        id_batches.make_batches(1, tables=1, rows=3, batch=5_000, pooling=4, zipf=1.0, rank=rank)[0].ids_TBP
        for rank in (0, 1, 0)
    ]
    counts = [torch.bincount(ids.flatten(), minlength=3) / 20_000 for ids in drawn]
    expected = torch.tensor([6, 3, 2]) / 11  # 1, 1/2 and 1/3, normalised
    torch.testing.assert_close(counts[0].sort(descending=True).values, expected, rtol=0, atol=0.02)
    assert counts[0].argsort().equal(counts[1].argsort()), "all ranks have the same frequent rows"
    assert not drawn[0].equal(drawn[1])
    assert drawn[0].equal(drawn[2])


def test_examples() -> None:
    assert doctest.testmod(id_batches) == (0, 2)
