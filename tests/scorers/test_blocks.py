import pytest
import torch

from torchrec_ext.scorers._blocks import in_blocks

SHAPES = [(7, 3), (5, 7, 3)]  # seven candidates, shared and own ones


def _score(queries, candidates):
    return (queries.unsqueeze(1) * candidates).sin().sum(2)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("block", [1, 6, 20, 45, 10**6])
def test_blocks_give_what_all_pairs_at_once_do(shape, block):
    torch.manual_seed(0)
    queries = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    candidates = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    whole = _score(queries, candidates)
    parts = in_blocks(_score, queries, candidates, width=3, block=block)
    torch.testing.assert_close(parts, whole)
    slope = torch.randn_like(whole)
    expected = torch.autograd.grad(whole, (queries, candidates), slope)
    torch.testing.assert_close(torch.autograd.grad(parts, (queries, candidates), slope), expected)
    with torch.no_grad():
        assert torch.equal(in_blocks(_score, queries, candidates, width=3, block=block), parts)


@pytest.mark.parametrize("shape", SHAPES)
def test_no_block_holds_more(shape):
    seen = []

    def score(queries, candidates):
        seen.append(len(queries) * candidates.shape[-2])
        return _score(queries, candidates)

    in_blocks(score, torch.randn(5, 3), torch.randn(shape), width=3, block=14 * 3)
    assert max(seen) == 14 and sum(seen) == 35
    seen.clear()
    in_blocks(score, torch.randn(5, 3), torch.randn(shape), width=3, block=4 * 3)
    assert max(seen) == 4 and sum(seen) == 35


def test_no_query_and_no_candidate():
    assert in_blocks(_score, torch.randn(0, 3), torch.randn(7, 3), width=3).shape == (0, 7)
    assert in_blocks(_score, torch.randn(5, 3), torch.randn(0, 3), width=3).shape == (5, 0)
