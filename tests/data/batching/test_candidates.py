"""Candidates: which items compete, and how likely each was to be among them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torchrec_ext.data.batching.candidates import Candidates, places
from torchrec_ext.errors import InputError


def test_candidates_by_hand():
    rng, counts = np.random.default_rng(0), np.array([6, 3, 1, 0])
    rows, log_q = Candidates("catalogue", counts).draw(np.array([3, 0]), rng)
    assert (rows.tolist(), log_q) == ([1, 2, 3, 4], None)
    rows, log_q = Candidates("in_batch", counts).draw(np.array([2, 0, 1, 2]), rng)
    assert (rows.tolist(), log_q.dtype) == ([1, 2], np.float32)
    # three known targets, each of which misses item 1 with probability .4 and item 2 with .7
    np.testing.assert_allclose(np.exp(log_q), [1 - 0.4**3, 1 - 0.7**3], rtol=1e-6)
    rows, log_q = Candidates("sampled", counts, number=5).draw(np.array([4]), rng)
    assert 4 in rows and (np.diff(rows) > 0).all()
    popularity = np.array([0.6, 0.3, 0.1, 0.0])[rows - 1]
    np.testing.assert_allclose(np.exp(log_q), 1 - (1 - popularity) * 0.75**5, rtol=1e-6)


@pytest.mark.parametrize(("kind", "number"), [("in_batch", 1), ("sampled", 8), ("sampled", 40)])
def test_log_q_is_how_often_an_item_is_among_the_candidates(kind, number):
    counts = np.array([400, 200, 100, 50, 25, 12, 6, 3, 2, 1])
    candidates = Candidates(kind, counts, number=number)
    rng = np.random.default_rng(0)
    rounds, drawn = 4000, np.zeros(len(counts))
    told = np.full(len(counts), np.nan)
    for _ in range(rounds):
        targets = rng.choice(len(counts), size=16, p=counts / counts.sum()) + 1
        rows, log_q = candidates.draw(targets, rng)
        drawn[rows - 1] += 1
        told[rows - 1] = np.exp(log_q)
    # within four standard deviations of the mean of so many rounds
    expected = told[drawn > 0]
    error = np.sqrt(expected * (1 - expected) / rounds)
    assert (np.abs(drawn[drawn > 0] / rounds - expected) <= 4 * error + 1e-6).all()
    assert (drawn > 0).sum() > 7


def test_log_q_is_finite_at_the_edges():
    rng = np.random.default_rng(0)
    for kind in ("in_batch", "sampled"):
        rows, log_q = Candidates(kind, np.array([9])).draw(np.array([1, 1]), rng)
        assert (rows.tolist(), log_q.tolist()) == ([1], [0.0])
        _, log_q = Candidates(kind, np.array([0, 5])).draw(np.array([1]), rng)
        assert np.isfinite(log_q).all()
        rows, log_q = Candidates(kind, np.array([4, 5])).draw(np.array([0]), rng)
        assert len(rows) >= 1
        assert np.isfinite(log_q).all()


@settings(deadline=None)
@given(st.lists(st.integers(0, 6)), st.integers(1, 9), st.integers(0, 5))
def test_every_known_target_finds_itself(targets, number, seed):
    targets = np.array(targets, np.int64)
    for kind in ("catalogue", "in_batch", "sampled"):
        rows, log_q = Candidates(kind, np.ones(6), number).draw(targets, np.random.default_rng(seed))
        labels = places(targets, rows)
        assert (labels[targets == 0] == -1).all()
        assert (rows[labels[targets > 0]] == targets[targets > 0]).all()
        assert log_q is None or log_q.shape == rows.shape


def test_targets_that_are_no_candidate_have_place_minus_1():
    assert places(np.array([9, 2, 0, 4, 3]), np.array([2, 4])).tolist() == [-1, 0, -1, 1, -1]


def test_faults_are_told():
    with pytest.raises(InputError, match="one of catalogue, sampled, in_batch; received 'all'"):
        Candidates("all", np.ones(3))
    with pytest.raises(InputError, match="at least 1, received 0"):
        Candidates("sampled", np.ones(3), number=0)
