"""Candidates: which items compete, and how likely each was to be among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.batching.candidates import Candidates
from torchrec_ext.errors import InputError


def test_candidates_by_hand():
    rng, counts = np.random.default_rng(0), np.array([6, 3, 1, 0])
    rows, log_q = Candidates("in_batch", counts).draw(np.array([2, 0, 1, 2]), rng)
    assert (rows.tolist(), log_q.dtype) == ([1, 2], np.float32)
    # three known targets, each of which misses item 1 with probability .4 and item 2 with .7
    np.testing.assert_allclose(np.exp(log_q), [1 - 0.4**3, 1 - 0.7**3], rtol=1e-6)
    rows, log_q = Candidates("sampled", counts, number=5).draw(np.array([4]), rng)
    popularity = np.array([0.6, 0.3, 0.1, 0.0])[rows - 1]
    np.testing.assert_allclose(np.exp(log_q), 1 - (1 - popularity) * 0.75**5, rtol=1e-6)


@pytest.mark.parametrize(("kind", "number"), [("in_batch", 1), ("sampled", 8), ("sampled", 40)])
def test_log_q_is_how_often_an_item_is_among_the_candidates(kind, number):
    counts = np.array([400, 200, 100, 50, 25, 12, 6, 3, 2, 1])
    candidates = Candidates(kind, counts, number=number)
    rng = np.random.default_rng(0)
    rounds, drawn, log_probability = 4000, np.zeros(10), np.full(10, np.nan)
    for _ in range(rounds):
        rows, log_q = candidates.draw(rng.choice(10, size=16, p=counts / counts.sum()) + 1, rng)
        drawn[rows - 1] += 1
        log_probability[rows - 1] = log_q
    # within four standard deviations of the mean of so many rounds
    expected = np.exp(log_probability[drawn > 0])
    error = np.sqrt(expected * (1 - expected) / rounds)
    assert (np.abs(drawn[drawn > 0] / rounds - expected) <= 4 * error + 1e-6).all()
    assert (drawn > 0).sum() > 7


@pytest.mark.parametrize("kind", ["catalogue", "in_batch", "sampled"])
@settings(deadline=None)
@given(st.lists(st.integers(0, 6)), st.integers(1, 9), st.sampled_from([1, 0, 9]), st.integers(0, 5))
def test_every_known_target_finds_itself_and_log_q_is_finite(kind, targets, number, first, seed):
    targets = np.array(targets, np.int64)
    candidates = Candidates(kind, np.array([first, 0, 1, 1, 1, 1]), number)
    found = candidates.compete(targets, np.random.default_rng(seed))
    rows, labels, log_q = found["candidates"], found["labels"], found["log_q"]
    assert len(rows) >= 1 and (np.diff(rows) > 0).all()
    assert (labels[targets == 0] == -1).all()
    assert (rows[labels[targets > 0]] == targets[targets > 0]).all()
    if kind == "catalogue":
        assert log_q is None and rows.tolist() == [1, 2, 3, 4, 5, 6]
    else:
        assert log_q.shape == rows.shape and np.isfinite(log_q).all()


def test_the_only_item_is_always_there():
    for kind in ("in_batch", "sampled"):
        rows, log_q = Candidates(kind, np.array([9])).draw(np.array([1, 1]), np.random.default_rng(0))
        assert (rows.tolist(), log_q.tolist()) == ([1], [0.0])


def test_a_target_that_is_not_in_the_catalogue_has_no_label():
    for catalogue in ([2, 4], [2, 3, 4]):
        candidates = Candidates("catalogue", np.ones(9), catalogue_C=np.array(catalogue))
        labels = candidates.compete(np.array([9, 2, 0, 4, 1]), np.random.default_rng(0))["labels"]
        assert labels.tolist() == [-1, 0, -1, len(catalogue) - 1, -1]


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="'catalogue' or 'sampled' or 'in_batch', received 'all'"):
        Candidates("all", np.ones(3))
    with pytest.raises(InputError, match="number should be at least 1, received 0"):
        Candidates("sampled", np.ones(3), number=0)
