"""Figures beyond accuracy, worked out by hand on the runs of four users."""

import numpy as np
import pytest

from tests.reporting.runs import FIRST, HISTORY, SECOND
from torchrec_ext.reporting.beyond_accuracy import beyond_accuracy, diversity
from torchrec_ext.reporting.pictures import calibration


def test_two_lists_of_the_second_run():
    found = beyond_accuracy(SECOND, k=1)  # a, b, c, e are shown, each once
    assert found["coverage"] == 4 / 5
    assert found["gini"] == pytest.approx(0.2)  # of 0, 1, 1, 1, 1: (-4 * 0 - 2 + 0 + 2 + 4) / (5 * 4)
    # 4, 4, 2 and 1 of 4 users know them: 0, 0, 1 and 2 bits
    assert found["novelty"] == pytest.approx(3 / 4)
    # shown have 8, 4, 2, 1 events, known are a, b, a, b, b with 8, 4, 8, 4, 4
    assert found["popularity lift"] == pytest.approx((15 / 4) / (28 / 5) - 1)
    # the hits are a, b and c; a is the most popular item
    assert found["serendipity"] == pytest.approx(2 / 4)
    assert np.isnan(found["diversity"])  # of lists of one item


def test_diversity_and_calibration_follow_the_categories():
    found = beyond_accuracy(SECOND, k=2)
    # cosines of x with x+y, y with x, x+y with y, and y with nothing
    cosines = [np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0]
    assert found["diversity"] == pytest.approx(1 - np.mean(cosines))
    q = np.array([[0.75, 0.25], [0.5, 0.5], [0.25, 0.75]])
    p = np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]])  # the last user has no history
    smooth = 0.99 * q + 0.01 * p
    terms = [p[i, j] * np.log(p[i, j] / smooth[i, j]) for i in range(3) for j in range(2) if p[i, j]]
    assert found["miscalibration"] == pytest.approx(sum(terms) / 3)
    assert len(HISTORY) == 4


def test_everybody_with_one_list_is_less_covered_and_more_popular():
    first, second = (beyond_accuracy(run, k=2) for run in (FIRST, SECOND))
    assert first["coverage"] < second["coverage"] and first["gini"] > second["gini"]
    assert first["novelty"] < second["novelty"] and first["popularity lift"] > second["popularity lift"]


def test_diversity_without_lists_is_nan():
    none = np.array([], int)
    assert np.isnan(diversity(np.ones((2, 1)), none, none, users=3))


def test_bins_of_a_calibrated_model_lie_on_the_diagonal():
    rng = np.random.default_rng(0)
    scores = rng.random(20_000)
    mean, share = calibration(scores, (rng.random(20_000) < scores).astype(int))
    assert len(mean) == 10 and share == pytest.approx(mean, abs=0.03)
