"""Ties at the cut are counted and warned of, whatever ranks hold the items."""

import warnings

import pandas as pd
import pytest
import torch

from tests import processes
from torchrec_ext.data import as_marked, read_events
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import popularity
from torchrec_ext.evaluation.tied_scores import TiedScores
from torchrec_ext.models import TwoTower
from torchrec_ext.training import fit

ITEMS, USERS = 8, 4


def parts():
    """Each user views items 0 to 3; the targets are 4, 5, 6 and 7, which stand in the order of their rows."""
    rows = [(100, item, "train") for item in range(ITEMS)]
    rows += [(user, item, "train") for user in range(USERS) for item in range(4)]
    rows += [(user, 4 + user, part) for user in range(USERS) for part in ("valid", "test")]
    frame = pd.DataFrame(rows, columns=["user", "item", "split"])
    return as_marked(read_events(frame, columns={"split": "split"}))


def reports(level: bool) -> list[dict]:
    """The figures of a model whose item vectors are all zero, or all one's own; and of popularity."""
    train, valid, test = parts()
    torch.manual_seed(0)
    model = TwoTower(train.schema, 4, "mean_pool")
    trained = fit(model, train, epochs=1, progress=False, sharding={"item": "row_wise"})
    if level:
        for value in model.state_dict().values():
            for shard in value.local_shards() if hasattr(value, "local_shards") else []:
                shard.tensor.zero_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = evaluate(trained, train, test, k=(2, 3)), popularity(trained, train, test, k=(2, 3))
    return [{**report, **report.counts, "protocol": report.protocol} for report in found]


def test_equal_scores_are_counted_and_distinct_ones_are_not():
    # 4 candidates are left to each user, all with score 0: ranks 1 to 4 by the row
    level, popular = reports(level=True)
    assert [level[name] for name in ("hr@2", "hr@3", "tied", "undecided")] == [0.5, 0.75, 4, 4]
    assert level["protocol"].endswith(
        "4 users (100.0%) have a target that ties with others in the first 3 places"
    )
    # each of these items has one known event
    assert [popular[name] for name in ("hr@3", "tied", "undecided")] == [0.75, 4, 4]
    own, _ = reports(level=False)
    assert own["tied"] == own["undecided"] == 0 and "ties" not in own["protocol"]


def test_a_warning_comes_for_a_model_whose_ties_matter():
    train, valid, test = parts()
    model = fit(TwoTower(train.schema, 4, "mean_pool"), train, epochs=1, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(model, train, test, k=(3,))
        popularity(model, train, test, k=(3,))  # that of popularity ties by its nature
    for value in model.module.state_dict().values():
        for shard in value.local_shards() if hasattr(value, "local_shards") else []:
            shard.tensor.zero_()
    with pytest.warns(
        UserWarning, match=r"4 users \(100.0%\) have a target that ties .* decides hr@3 for 100.0%"
    ):
        evaluate(model, train, test, k=(3,))


def test_by_hand():
    """Of spans of ranks within and across the cut, of two targets, and of a target in no list."""
    ties = TiedScores(k=3)
    spans = [[2, 3], [3, 4], [4, 6], [1, 1], [2, 9], [0, 0], [3, 3]]
    ties.add(torch.tensor(spans), torch.tensor([0, 1, 2, 3, 5, 6, 7, 7]))
    # the first stands in the list anyway; the second may not; the third never; the fourth has a sure hit
    assert (ties.users, ties.tied, ties.undecided) == (6, 3, 1)


def of_both_levels() -> list[dict]:
    return [*reports(level=True), *reports(level=False)]


@pytest.mark.slow
def test_two_processes_count_what_one_does():
    first, second = processes.run(of_both_levels)
    assert first == second
    for one, other in zip(first, of_both_levels(), strict=True):
        assert one.pop("protocol") == other.pop("protocol")
        assert one == pytest.approx(other, abs=1e-3)
