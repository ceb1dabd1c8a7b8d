import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.contracts import Scorer
from torchrec_ext.errors import InputError
from torchrec_ext.retrieval import ExactIndex, exact_index

INF = float("inf")


def order_of_all(query, items, ids, excluded):
    """Scores and ids of every item left, best first, worked out one dot product at a time."""
    interests = query if query.dim() == 2 else query[None]
    scored = [
        (-max(float((q * v).sum()) for q in interests), i)
        for v, i in zip(items, ids, strict=True)
        if i not in excluded
    ]
    return [(-s, i) for s, i in sorted(scored)]


@st.composite
def cases(draw):
    """A small catalogue of small whole numbers, so that sums are exact and scores are often tied."""
    number = st.integers(-2, 2)
    count, width, queries = draw(st.integers(1, 9)), draw(st.integers(1, 3)), draw(st.integers(0, 4))
    ids = draw(st.lists(st.integers(0, 20), min_size=count, max_size=count, unique=True))
    shape = draw(st.sampled_from([(queries, width), (queries, 2, width)]))

    def numbers(*size):
        total = torch.Size(size).numel()
        return torch.tensor(draw(st.lists(number, min_size=total, max_size=total))).float().view(size)

    some_ids = st.lists(st.integers(0, 21), max_size=count + 2)
    exclude = [draw(some_ids) for _ in range(queries)]
    targets = [draw(some_ids) for _ in range(queries)]
    return numbers(count, width), ids, numbers(*shape), exclude, targets, draw(st.integers(1, count))


def jagged(lists):
    lengths = torch.tensor([0, *map(len, lists)])
    return torch.tensor([i for each in lists for i in each], dtype=torch.int64), lengths.cumsum(0)


@settings(deadline=None)
@given(cases(), st.sampled_from([1, 20, 2**26]))
def test_lists_and_ranks_equal_brute_force(case, block):
    items, ids, queries, exclude, targets, k = case
    index = ExactIndex(block=block)
    index.build(items, torch.tensor(ids))
    scores, found, ranks, spans = index.search_and_rank(queries, k, jagged(targets), jagged(exclude))
    expected_ranks, expected_spans = [], []
    for row, query in enumerate(queries):
        order = order_of_all(query, items, ids, exclude[row])
        fill = k - len(order[:k])
        assert scores[row].tolist() == [s for s, _ in order[:k]] + [-INF] * fill
        assert found[row].tolist() == [i for _, i in order[:k]] + [-1] * fill
        places = {i: place for place, (_, i) in enumerate(order, start=1)}
        expected_ranks += [places.get(target, 0) for target in targets[row]]
        for target in targets[row]:
            mine = next((score for score, i in order if i == target), None)
            level = [place for place, (score, _) in enumerate(order, start=1) if score == mine]
            expected_spans.append([level[0], level[-1]] if level else [0, 0])
    assert spans.tolist() == expected_spans
    assert ranks.tolist() == expected_ranks
    as_list = [torch.tensor(e, dtype=torch.int64) for e in exclude]
    again = index.search(queries, k, exclude=as_list)
    assert torch.equal(again[0], scores) and torch.equal(again[1], found)
    assert torch.equal(index.ranks_of(queries, jagged(targets), exclude=as_list), ranks)


def test_a_target_of_rank_r_stands_in_column_r_minus_one():
    """Also with floats whose sums depend on how they are added up."""
    torch.manual_seed(0)
    items, queries = torch.randn(301, 17), torch.randn(40, 17)
    index = ExactIndex(block=301 * 7)
    index.build(items, torch.randperm(1000)[:301])
    _, ids = index.search(queries, 301)
    targets = (ids[:, ::50].reshape(-1), torch.arange(41) * 7)
    ranks = index.ranks_of(queries, targets)
    assert ranks.view(40, 7).tolist() == [[1, 51, 101, 151, 201, 251, 301]] * 40


def test_parts_of_one_size_hold_few_scores_at_a_time(monkeypatch):
    items, queries = torch.randn(30, 4), torch.randn(23, 4)
    index = ExactIndex()
    index.build(items, torch.arange(30))
    targets = (torch.arange(23), torch.arange(24))
    whole = index.search_and_rank(queries, 3, targets)
    sizes, score = [], ExactIndex._scores
    monkeypatch.setattr(exact_index, "_CACHED_SCORES", 30 * 10)
    monkeypatch.setattr(exact_index, "_LEAST_ROWS", 4)
    monkeypatch.setattr(ExactIndex, "_scores", lambda *of: sizes.append(len(of[1])) or score(*of))
    for one, other in zip(index.search_and_rank(queries, 3, targets), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert sizes == [8, 8, 7]


def test_the_unscored_rest_of_a_list_is_marked():
    index = ExactIndex()
    index.build(torch.tensor([[1.0], [2.0]]), torch.tensor([4, 6]))
    everything, one = torch.tensor([4, 6]), torch.tensor([6])
    scores, ids = index.search(torch.tensor([[1.0], [1.0]]), 2, exclude=[everything, one])
    assert scores.tolist() == [[-INF, -INF], [1.0, -INF]]
    assert ids.tolist() == [[-1, -1], [4, -1]]


def test_ids_to_leave_out_come_in_many_forms():
    index = ExactIndex()
    index.build(torch.tensor([[3.0], [2.0], [1.0]]), torch.tensor([1, 2, 3]))
    for exclude in (
        [[1], [2]],
        ((1,), (2,)),
        [np.array([1]), np.array([2], np.int32)],
        torch.tensor([[1], [2]]),
        (torch.tensor([1, 2]), torch.tensor([0, 1, 2])),
    ):
        assert index.search(torch.ones(2, 1), 2, exclude=exclude)[1].tolist() == [[2, 3], [1, 3]]
    assert index.search(torch.ones(2, 1), 1, exclude=[[], []])[1].tolist() == [[1], [1]]
    assert index.search(torch.ones(2, 1), 1, exclude=[[], [1, 2]])[1].tolist() == [[1], [3]]


class Nearest(Scorer):
    indexable = False

    def forward(self, queries_BD, candidates):
        return -torch.cdist(queries_BD, candidates)


class Popular(Scorer):
    """Its scores are a view of one row."""

    indexable = False

    def forward(self, queries_BD, candidates):
        return candidates[:, 0].expand(len(queries_BD), -1)


def test_a_scorer_takes_the_place_of_the_dot_product():
    index = ExactIndex(scorer=Nearest())
    index.build(torch.tensor([[9.0], [1.0], [4.0]]), torch.tensor([1, 2, 3]))
    assert index.search(torch.tensor([[2.0], [8.0]]), 3)[1].tolist() == [[2, 3, 1], [1, 3, 2]]


def test_excluding_does_not_write_into_what_the_scorer_holds():
    index = ExactIndex(scorer=Popular())
    vectors = torch.tensor([[9.0], [1.0], [4.0]])
    index.build(vectors, torch.tensor([1, 2, 3]))
    ids = index.search(torch.zeros(2, 1), 2, exclude=[torch.tensor([1]), torch.tensor([3])])[1]
    assert ids.tolist() == [[3, 2], [1, 2]]
    assert vectors.tolist() == [[9.0], [1.0], [4.0]]


def test_scores_stay_float32_under_autocast():
    """In bfloat16 the two items would be equal."""
    index = ExactIndex()
    index.build(torch.tensor([[1.0], [1.001]]), torch.tensor([1, 2]))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores, ids = index.search(torch.ones(1, 1), 2)
    assert ids.tolist() == [[2, 1]]
    assert scores.dtype == torch.float32


@pytest.fixture
def index():
    index = ExactIndex()
    index.build(torch.ones(3, 2), torch.tensor([5, 6, 7]))
    return index


@pytest.mark.parametrize("k", [0, 4])
def test_k_out_of_range_names_both_numbers(index, k):
    with pytest.raises(InputError, match=f"k is {k}, but the catalogue has 3 items"):
        index.search(torch.ones(1, 2), k)


@pytest.mark.parametrize(
    ("queries", "exclude", "message"),
    [
        (torch.ones(2, 2), [torch.tensor([5])], "exclude holds ids of 1 queries, but there are 2"),
        (torch.ones(1, 2), (torch.tensor([5]), torch.tensor([0, 2])), "offsets of exclude must rise from 0"),
        (torch.ones(1, 3), None, "queries are 3 wide, but items 2"),
        (torch.ones(2), None, r"queries_BD should be \(queries, D\) or \(queries, K, D\), received \(2,\)"),
        (torch.ones(2, 2), [[5]], "exclude holds ids of 1 queries, but there are 2"),
        (torch.ones(2, 2), [5, 6], r"exclude should hold a list of integer ids for each query.*received 5"),
        (torch.ones(1, 2), [[5.5]], r"integer ids for each query.*received \[5.5\]"),
        (torch.ones(1, 2), [["a"]], r"integer ids for each query.*received \['a'\]"),
    ],
)
def test_what_does_not_fit_is_refused(index, queries, exclude, message):
    with pytest.raises(InputError, match=message):
        index.search(queries, 1, exclude=exclude)


@pytest.mark.parametrize(
    ("vectors", "ids", "message"),
    [
        (torch.ones(2, 1), [3], "2 item vectors but 1 ids"),
        (torch.ones(2, 1), [3, 3], "item id 3 is given twice"),
        (torch.ones(2, 1), [3, -1], "item id -1 is negative"),
        (torch.ones(2, 1), [3.0, 4.5], "ids_I should be integers, received torch.float32"),
        (torch.ones(2), [3, 4], r"vectors_ID should be \(items, D\), received \(2,\)"),
    ],
)
def test_ids_that_are_no_ids_are_refused(vectors, ids, message):
    with pytest.raises(InputError, match=message):
        ExactIndex().build(vectors, torch.tensor(ids))


def test_searching_an_index_without_items_says_so():
    index = ExactIndex()
    index.build(torch.empty(0, 2), torch.empty(0, dtype=torch.int64))
    for empty in (index, ExactIndex()):
        with pytest.raises(InputError, match=r"the index has no items; build\(\) it"):
            empty.search(torch.ones(1, 2), 1)
    with pytest.raises(InputError, match="no items"):
        index.ranks_of(torch.ones(1, 2), (torch.tensor([1]), torch.tensor([0, 1])))


def test_a_nan_is_refused(index):
    with pytest.raises(InputError, match="NaN among the queries"):
        index.ranks_of(torch.full((1, 2), float("nan")), (torch.tensor([5]), torch.tensor([0, 1])))
    with pytest.raises(InputError, match="NaN among the item vectors"):
        index.build(torch.full((1, 2), float("nan")), torch.tensor([5]))
