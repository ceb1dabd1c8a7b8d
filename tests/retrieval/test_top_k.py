import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import exact_top_k
from torchrec_ext.retrieval.top_k import best_above, best_ids

INF = float("inf")


@st.composite
def tied_scores(draw):
    """Rows of few distinct values, so that ties are the rule, with excluded ones among them."""
    rows, columns = draw(st.integers(0, 4)), draw(st.integers(1, 12))
    value = st.sampled_from([-INF, -1.0, 0.0, -0.0, 0.5, 2.0, INF])
    scores = [draw(st.lists(value, min_size=columns, max_size=columns)) for _ in range(rows)]
    return torch.tensor(scores).view(rows, columns), draw(st.integers(1, columns))


@settings(deadline=None)
@given(tied_scores())
def test_equals_sorting_every_row_by_score_then_place(case):
    scores, k = case
    found, places = exact_top_k(scores, k)
    assert found.shape == places.shape == (len(scores), k)
    for row, values, where in zip(scores.tolist(), found.tolist(), places.tolist(), strict=True):
        best = sorted((-s, p) for p, s in enumerate(row) if s > -INF)[:k]
        fill = k - len(best)
        assert values == [-s for s, _ in best] + [-INF] * fill
        assert where == [p for _, p in best] + [-1] * fill


def test_of_many_equal_scores_the_lowest_places_are_taken():
    scores = torch.zeros(2, 1000)
    scores[0, 900] = 1.0
    _, places = exact_top_k(scores, 4)
    assert places.tolist() == [[900, 0, 1, 2], [0, 1, 2, 3]]


def test_half_precision_gives_the_same_places():
    scores = torch.tensor([[1.0, 2.0, 2.0]])
    assert exact_top_k(scores.bfloat16(), 2)[1].tolist() == exact_top_k(scores, 2)[1].tolist() == [[1, 2]]


@pytest.mark.parametrize("k", [0, 4])
def test_k_out_of_range_names_both_numbers(k):
    with pytest.raises(InputError, match=f"k is {k}, but there are 3 scores"):
        exact_top_k(torch.zeros(1, 3), k)


def test_a_nan_is_refused():
    with pytest.raises(InputError, match="NaN"):
        exact_top_k(torch.tensor([[0.0, float("nan")]]), 1)


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("items", [3, 40])
def test_lists_above_a_score_are_the_lists_of_all(rows, items):
    """Most scores are tied, and lists of 7 are longer than some rows."""
    scores = torch.randint(3, (rows, items), generator=torch.Generator().manual_seed(rows)).float()
    scores[1:2, 1:] = -torch.inf
    ids = torch.arange(items) * 3
    least = scores.topk(min(7, items))[0][:, -1].clamp(min=-1)
    fast, plain = best_above(scores, ids, least, 7), best_ids(scores, ids, 7)
    assert torch.equal(fast[0], plain[0]) and torch.equal(fast[1], plain[1])
