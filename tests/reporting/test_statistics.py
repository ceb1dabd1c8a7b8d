"""Intervals and tests against known distributions, other implementations and worked examples."""

import sys

import numpy as np
import pytest
import torch

from tests.reporting.runs import FIRST, pairs_of, ranker
from torchrec_ext.errors import InputError
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.reporting.bootstrap import bootstrap, interval, resampled_weights
from torchrec_ext.reporting.paired_tests import bootstrap_p, holm, wilcoxon_p
from torchrec_ext.reporting.user_figures import UserFigures


def figures(values: np.ndarray) -> UserFigures:
    return UserFigures(("hr@10",), values[None], np.ones(len(values)))


def test_an_interval_has_the_width_that_a_known_distribution_gives_it():
    hits = (np.arange(400) % 4 == 0).astype(float)  # a share of 0.25, of standard error sqrt(.25 * .75 / 400)
    samples = bootstrap([figures(hits)], resamples=4000, seed=1)[:, 0, 0, 0]
    error = np.sqrt(0.25 * 0.75 / 400)
    assert samples.mean() == pytest.approx(0.25, abs=0.002) and samples.std() == pytest.approx(
        error, rel=0.05
    )
    assert interval(samples) == pytest.approx([0.25 - 1.96 * error, 0.25 + 1.96 * error], abs=0.004)


def test_runs_are_resampled_together_and_a_seed_repeats():
    values = np.arange(30.0)
    samples = bootstrap([figures(values), figures(values + 1)], resamples=50, seed=3)
    assert samples.shape == (50, 2, 1, 1)
    assert samples[:, 1] - samples[:, 0] == pytest.approx(
        1
    )  # the same users in both, so nothing else differs
    assert np.array_equal(samples, bootstrap([figures(values), figures(values + 1)], resamples=50, seed=3))
    assert not np.array_equal(samples[:, :1], bootstrap([figures(values)], resamples=50, seed=4))


def test_blocks_do_not_change_how_many_users_are_drawn(monkeypatch):
    monkeypatch.setattr("torchrec_ext.reporting.bootstrap._NUMBERS", 20)
    blocks = [*resampled_weights(users=10, resamples=5)]
    assert [len(block) for block in blocks] == [2, 2, 1]
    assert all((block.sum(1) == 10).all() for block in blocks)


def test_groups_are_resampled_as_parts_of_the_whole():
    values = np.array([0.0, 0.0, 1.0, 1.0])
    groups = np.array([[True, True, False, False], [False, False, True, True]])
    samples = bootstrap([figures(values)], resamples=40, groups=groups)[:, 0, :, 0].T
    drawn = ~np.isnan(samples)  # a resample may have nobody of a group
    assert set(samples[0][drawn[0]]) == {0.0} and set(samples[1][drawn[1]]) == {1.0}


def test_the_auc_of_resampled_users_is_that_of_their_pairs():
    run = ranker("r", [[0.9, 0.4, 0.4], [0.4, 0.1, 0.8]])
    names = ("auc", "log_loss", "accuracy", "rmse")
    found = UserFigures.of(run, names).weighted(np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 0.0]]))
    scores, labels = pairs_of(run)
    for row, times in zip(found, ([1] * 6, [2] * 3 + [1] * 3, [1] * 3 + [0] * 3), strict=True):
        report = BinaryReport()
        report.update(*(torch.from_numpy(np.repeat(values, times)) for values in (scores, labels)))
        assert dict(zip(names, row, strict=True)) == pytest.approx(report.compute(), abs=1e-6)


def test_an_auc_of_one_class_is_nan():
    run = ranker("r", [[0.9, 0.4, 0.4], [0.4, 0.1, 0.8]])
    assert np.isnan(UserFigures.of(run, ["auc"]).weighted(np.zeros((1, 2)))).all()


@pytest.mark.parametrize(("run", "there"), [(FIRST, "hr@1, recall@1"), (ranker("r", [[0.5] * 3] * 2), "auc")])
def test_an_unknown_metric_is_refused_with_those_there_are(run, there):
    with pytest.raises(InputError, match=f"has no metric 'ndcg@7'; it has .*{there}"):
        UserFigures.of(run, ["ndcg@7"])


def test_holms_correction_on_a_worked_example():
    # 4 * .005, then 3 * .01, then 2 * .03, then max(1 * .04, .06)
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, np.nan, 0.7])) == pytest.approx([1.0, np.nan, 1.0], nan_ok=True)
    assert len(holm(np.array([]))) == 0


def test_a_bootstrap_p_value_counts_the_other_side():
    differences = np.concatenate([np.full(990, 0.1), np.full(9, -0.1)])
    assert bootstrap_p(differences) == pytest.approx(2 * 10 / 1000)
    assert bootstrap_p(-differences) == pytest.approx(2 * 10 / 1000)
    assert bootstrap_p(np.zeros(99)) == 1.0  # equal runs


def test_wilcoxons_test_on_a_worked_example():
    pytest.importorskip("scipy", reason="Wilcoxon's test needs scipy, the extra 'report'")
    # ranks 1 to 6, of which the negative ones sum to 1: 2 * (number of sums of 0 or 1) / 2**6
    first = np.array([1.0, -0.5, 2.0, 3.0, 4.0, 5.0])
    assert wilcoxon_p(first, np.zeros(6)) == pytest.approx(2 * 2 / 2**6)
    assert wilcoxon_p(first, first) == 1.0
    assert np.isnan(wilcoxon_p(first * np.nan, first))


def test_without_scipy_wilcoxons_test_is_nan(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    assert np.isnan(wilcoxon_p(np.ones(3), np.zeros(3)))
