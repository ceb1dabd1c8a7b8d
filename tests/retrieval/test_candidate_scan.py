"""The scan leaves the lists of an exact index as they are."""

import pytest
import torch

from torchrec_ext.retrieval import ExactIndex, candidate_scan, exact_index
from torchrec_ext.retrieval.candidate_scan import CandidateScan
from torchrec_ext.scorers import CosineScorer

ITEMS = 3011  # not a multiple of any group or block


@pytest.fixture(params=[False, True], ids=["float32", "float16"], autouse=True)
def precision(request, monkeypatch):
    monkeypatch.setattr(candidate_scan, "has_half_products", lambda: request.param)
    monkeypatch.setattr(candidate_scan, "_BLOCK", 2**8)


@pytest.fixture
def lists(monkeypatch):
    """Lists of an index with the scan and without it, and whether each scan narrowed the items down."""
    narrowed = []
    scan = CandidateScan.candidates

    def counted(self, *arguments):
        found = scan(self, *arguments)
        narrowed.append(found is not None)
        return found

    monkeypatch.setattr(CandidateScan, "candidates", counted)

    def search(vectors, queries, k, exclude=None, scorer=None):
        both = []
        for least in (1, 2**62):
            monkeypatch.setattr(exact_index, "_LEAST_SCORES", least)
            index = ExactIndex(scorer)
            index.build(vectors, torch.arange(len(vectors)) * 2)
            both.append(index.search(queries, k, exclude))
        return *both, narrowed

    return search


@pytest.mark.parametrize(("shape", "k"), [((1, 6), 1), ((33, 6), 1), ((8, 6), 7), ((5, 3, 6), 9)])
def test_tied_scores_give_identical_lists(lists, shape, k):
    """Whole numbers: their products are exact, and most scores are tied."""
    torch.manual_seed(0)
    vectors, queries = torch.randint(-9, 10, (ITEMS, 6)).float(), torch.randint(-9, 10, shape).float()
    exclude = [torch.randperm(2 * ITEMS)[:1000] for _ in queries]
    fast, plain, narrowed = lists(vectors, queries, k, exclude)
    assert torch.equal(fast[0], plain[0]) and torch.equal(fast[1], plain[1])
    assert any(narrowed)


@pytest.mark.parametrize("scorer", [None, CosineScorer(64)])
def test_floats_give_the_same_lists(lists, scorer):
    torch.manual_seed(0)
    vectors = torch.randn(ITEMS, 64) * torch.rand(ITEMS, 1)
    queries = torch.randn(20, 64)
    best = lists(vectors, queries, 3, scorer=scorer)[1][1]
    fast, plain, narrowed = lists(vectors, queries, 3, exclude=list(best), scorer=scorer)
    assert torch.equal(fast[1], plain[1])
    torch.testing.assert_close(fast[0], plain[0], rtol=1e-5, atol=1e-5)
    assert any(narrowed)
    assert not (fast[1][:, :, None] == best[:, None]).any()


@pytest.mark.parametrize(
    ("vectors", "exclude"),
    [
        (torch.ones(ITEMS, 2), None),  # all tied
        (torch.full((ITEMS, 2), 3e38), None),  # scores are infinite
    ],
)
def test_a_scan_that_does_not_help_is_given_up(lists, vectors, exclude):
    fast, plain, narrowed = lists(vectors, torch.ones(1, 2), 4, exclude)
    assert torch.equal(fast[0], plain[0]) and torch.equal(fast[1], plain[1])
    assert not any(narrowed)


@pytest.mark.parametrize(("of_items", "of_queries"), [(1, 1e-23), (1e3, 1e-30), (1e-25, 1e20)])
def test_numbers_whose_squares_are_0_give_the_same_lists(lists, of_items, of_queries):
    torch.manual_seed(0)
    fast, plain, _ = lists(torch.randn(ITEMS, 6) * of_items, torch.randn(33, 6) * of_queries, 3)
    assert torch.equal(fast[1], plain[1])


def test_a_user_with_few_items_left_changes_no_other_list(lists):
    """The first query has two items left, fewer than k."""
    torch.manual_seed(0)
    exclude = [torch.arange(4, 2 * ITEMS), torch.arange(0)]
    fast, plain, narrowed = lists(torch.randn(ITEMS, 2), torch.randn(2, 2), 4, exclude)
    assert fast[1].tolist() == plain[1].tolist()
    assert fast[1][0, 2:].tolist() == [-1, -1]
    assert narrowed == [True]


def test_no_queries_have_no_lists(monkeypatch):
    monkeypatch.setattr(exact_index, "_LEAST_NUMBERS", 1)
    index = ExactIndex()
    index.build(torch.rand(ITEMS, 2), torch.arange(ITEMS))
    scores, ids = index.search(torch.empty(0, 2), 4)
    assert scores.shape == ids.shape == (0, 4)


def test_a_long_list_is_searched_without_the_scan(lists):
    fast, plain, narrowed = lists(torch.rand(ITEMS, 2), torch.ones(1, 2), 300)
    assert torch.equal(fast[1], plain[1])
    assert not narrowed
