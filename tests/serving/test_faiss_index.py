"""FaissIndex against exact search: recall, exclusions, several interests, and what it refuses."""

import builtins
import logging

import pandas as pd
import pytest
import torch

from tests.retrieval.trained import EVENTS, TRAIN
from tests.retrieval.trained import trained as fitted
from torchrec_ext.errors import InputError
from torchrec_ext.models import TwoTower
from torchrec_ext.retrieval import ExactIndex, recommend
from torchrec_ext.scorers import CosineScorer, DotScorer, MixtureOfLogits, NeuMF
from torchrec_ext.serving import FaissIndex, faiss_index, recall

KINDS = ("hnsw", "ivf")
INF = float("inf")


@pytest.fixture(autouse=True)
def _installed(request):
    if "without_faiss" not in request.fixturenames:
        pytest.importorskip("faiss", reason="faiss-cpu is not installed")


def catalogue(items=2000, dim=16):
    """Vectors of various norms, and every third id."""
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(items, dim, generator=generator) * torch.rand(items, 1, generator=generator)
    return vectors, torch.arange(items).flip(0) * 3


def queries(count, *size):
    return torch.randn(count, *size, generator=torch.Generator().manual_seed(1))


def both(kind, scorer=None, **settings):
    index, exact = FaissIndex(kind, scorer, **settings), ExactIndex(scorer)
    for each in (index, exact):
        each.build(*catalogue())
    return index, exact


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scorer", [None, DotScorer(16), CosineScorer(16)])
@pytest.mark.parametrize("shape", [(16,), (3, 16)])
def test_lists_are_nearly_those_of_exact_search(kind, scorer, shape):
    index, exact = both(kind, scorer, ef_search=200, probes=60)
    asked = queries(70, *shape)
    found = recall(index, exact, asked)
    assert found["recall@10"] > 0.97 and found["recall@100"] > 0.9
    scores, ids = index.search(asked, 10)
    expected, wanted = exact.search(asked, 10)
    same = (ids == wanted).all(1)
    assert same.sum() > 35
    torch.testing.assert_close(scores[same], expected[same], rtol=1e-4, atol=1e-5)
    assert scores.dtype == torch.float32 and ids.dtype == torch.int64
    assert (scores.diff(dim=1) <= 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_visiting_everything_gives_the_exact_lists_and_equal_scores_go_by_id(kind):
    index, exact = FaissIndex(kind, ef_search=300, probes=300), ExactIndex()
    vectors = torch.randint(-1, 2, (300, 3), generator=torch.Generator().manual_seed(0)).float()
    for each in (index, exact):
        each.build(vectors, torch.randperm(900, generator=torch.Generator().manual_seed(0))[:300])
    asked = torch.tensor([[1.0, 2.0, 4.0], [-4.0, 1.0, 0.0]])
    for excluded in (None, [[], [5, 6, 900]]):
        scores, ids = index.search(asked, 300, excluded)
        expected, wanted = exact.search(asked, 300, excluded)
        assert torch.equal(scores, expected) and torch.equal(ids, wanted)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("most", [0, 1024])
def test_lists_without_the_excluded_items_are_full(kind, most, monkeypatch):
    """With ``most=0`` the first search brings the excluded items alone, and exact search fills the lists."""
    monkeypatch.setattr(faiss_index, "_MOST_EXTRA", most)
    index, exact = both(kind, ef_search=200, probes=60)
    asked = queries(3, 16)
    best = exact.search(asked, 40)[1]
    exclude = [best[0], torch.arange(6000)[: 3 * 1995], torch.arange(6000)]
    scores, ids = index.search(asked, 20, exclude)
    expected, wanted = exact.search(asked, 20, exclude)
    assert not torch.isin(ids[0], best[0]).any()
    assert (ids[0] >= 0).all() and (ids[0] == wanted[0]).sum() >= 18
    assert ids[1].tolist() == wanted[1].tolist() and (ids[1] >= 0).sum() == 5
    assert ids[2].tolist() == [-1] * 20 and scores[2].tolist() == [-INF] * 20
    torch.testing.assert_close(scores[1], expected[1], rtol=1e-4, atol=1e-5)
    flat = torch.cat(exclude), torch.tensor([0, *map(len, exclude)]).cumsum(0)
    assert torch.equal(index.search(asked, 20, flat)[1], ids)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_same_index(kind):
    asked = queries(50, 16)
    lists = {seed: [] for seed in (0, 1)}
    for seed in (0, 1, 0):
        index = FaissIndex(kind, seed=seed, ef_search=1, probes=1, neighbours=2)
        index.build(*catalogue())
        lists[seed].append(index.search(asked, 10)[1])
    assert torch.equal(*lists[0])
    assert not torch.equal(lists[0][0], lists[1][0])


def test_recall_is_measured_when_the_index_is_built(caplog):
    asked = queries(20, 16)
    caplog.set_level(logging.INFO, "torchrec_ext.serving")
    index, exact = both("hnsw", queries=asked, ef_search=10, neighbours=8)
    assert index.recall == recall(index, exact, asked)
    assert 0.3 < index.recall["recall@10"] < 1
    assert f"hnsw of 2000 items: recall@10 {index.recall['recall@10']:.3f}, recall@100" in caplog.text
    few = FaissIndex("ivf")
    few.build(torch.eye(3), torch.arange(3))
    assert few.recall == {"recall@3": 1.0}


def test_more_candidates_find_more():
    exact = both("ivf")[1]
    found = [recall(both("ivf", probes=p)[0], exact, queries(50, 16))["recall@10"] for p in (1, 20)]
    found += [recall(both("hnsw", ef_search=e)[0], exact, queries(50, 16))["recall@10"] for e in (10, 100)]
    assert found[0] < found[1] and found[2] < found[3]


@pytest.mark.parametrize("kind", KINDS)
def test_recommend_searches_it(kind):
    trained = fitted("history")
    index = trained.build_index(index=FaissIndex(kind, trained.module.scorer))
    users = [1, 2, 3]
    found, expected = recommend(trained, EVENTS, users, 3, index=index), recommend(trained, EVENTS, users, 3)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    "scorer", [NeuMF(16), MixtureOfLogits(16), TwoTower(TRAIN.schema, 8, scorer="neumf").scorer]
)
def test_a_scorer_that_is_not_indexable_is_refused(scorer):
    with pytest.raises(InputError, match=f"^{type(scorer).__name__} is not indexable: [^\n]*use ExactIndex"):
        FaissIndex("hnsw", scorer)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "flat"}, "kind should be 'hnsw' or 'ivf', received 'flat'"),
        ({"neighbours": 1}, "neighbours should be at least 2, received 1"),
        ({"clusters": 2.5}, "clusters should be a whole number, received 2.5"),
        ({"ef_search": 0}, "ef_search should be at least 1, received 0"),
        ({"probes": -1}, "probes should be at least 1"),
        ({"build_threads": 0}, "build_threads should be at least 1"),
    ],
)
def test_a_setting_out_of_range_is_refused(settings, message):
    with pytest.raises(InputError, match=message):
        FaissIndex(**settings)


@pytest.mark.parametrize(
    ("vectors", "ids", "settings", "message"),
    [
        (torch.ones(2, 1), [3], {}, "2 item vectors but 1 ids"),
        (torch.ones(2, 1), [3, 3], {}, "item id 3 is given twice"),
        (torch.empty(0, 2), [], {}, "the index has no items"),
        (torch.tensor([[float("nan")]]), [1], {}, "NaN among the item vectors"),
        (torch.tensor([[INF]]), [1], {}, "infinite number among the item vectors"),
        (torch.ones(2, 1), [3, 4], {"kind": "ivf", "clusters": 3}, "clusters is 3, but there are 2 items"),
        (torch.ones(2, 1), [3, 4], {"queries": torch.ones(1, 5)}, "queries are 5 wide, but items 1"),
    ],
)
def test_items_that_do_not_fit_are_refused(vectors, ids, settings, message):
    with pytest.raises(InputError, match=message):
        FaissIndex(**settings).build(vectors, torch.tensor(ids, dtype=torch.int64))


@pytest.mark.parametrize(
    ("asked", "k", "exclude", "message"),
    [
        (torch.ones(1, 16), 0, None, "k is 0, but the catalogue has 2000 items"),
        (torch.ones(1, 16), 2001, None, "k is 2001"),
        (torch.ones(1, 4), 1, None, "queries are 4 wide, but items 16"),
        (torch.ones(16), 1, None, "queries_BD should be"),
        (torch.full((1, 16), float("nan")), 1, None, "NaN among the queries"),
        (torch.ones(1, 16), 1, [[1], [2]], "exclude holds ids of 2 queries, but there are 1"),
    ],
)
def test_queries_that_do_not_fit_are_refused(asked, k, exclude, message):
    index = both("ivf")[0]
    with pytest.raises(InputError, match=message):
        index.search(asked, k, exclude)
    assert index.search(torch.empty(0, 16), 4)[1].shape == (0, 4)


def test_an_index_that_was_not_built_says_so():
    with pytest.raises(InputError, match=r"the index has no items; build\(\) it"):
        FaissIndex().search(torch.ones(1, 2), 1)


def test_several_processes_are_refused(monkeypatch):
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with pytest.raises(InputError, match="one process, received several; use ExactIndex"):
        FaissIndex().build(*catalogue())


@pytest.fixture
def without_faiss(monkeypatch):
    usual = builtins.__import__

    def refusing(name, *arguments, **keywords):
        if name == "faiss":
            raise ImportError(name)
        return usual(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", refusing)


def test_without_faiss_the_extra_is_named(without_faiss):
    with pytest.raises(InputError, match=r"pip install 'torchrec-ext\[faiss\]'"):
        FaissIndex()
