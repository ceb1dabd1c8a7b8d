"""The lookups that are the limit find what nn.EmbeddingBag finds."""

import limit
import pytest
import torch
from id_batches import make_batches


@pytest.mark.parametrize("width", [16, 20])
@pytest.mark.parametrize("pooling", [1, 3, 40])
def test_each_pools_the_rows(width: int, pooling: int) -> None:
    weights_TRW = torch.randn(2, 30, width, generator=torch.Generator().manual_seed(0))
    batch = make_batches(1, tables=2, rows=30, batch=5, pooling=pooling)[0]
    expected = torch.stack([table[ids].sum(1) for table, ids in zip(weights_TRW, batch.ids_TBP, strict=True)])
    found = limit.lookups(weights_TRW, pooling, batch=5)
    assert "packed torch" in found
    for look_up in found.values():
        torch.testing.assert_close(look_up(batch), expected.flatten(0, 1))


def test_numbers_near_zero_stay() -> None:
    limit.lookups(torch.ones(1, 2, 16), 1, batch=1)
    assert float(torch.tensor(1e-40) * 1) > 0  # -ffast-math would turn them off in the whole process
