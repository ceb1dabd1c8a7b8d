import pandas as pd
import pytest

from tests.worlds import small_world
from torchrec_ext.data import by_time, leave_last_out, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.losses import GroupSoftmax
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
from torchrec_ext.training import fit
from torchrec_ext.training.validation_monitor import ValidationMonitor

TRAIN, VALID, _ = leave_last_out(small_world())
RETRIEVER = TrainedModel(TwoTower(TRAIN.schema, 8), TRAIN.preparation)
RANKER = TrainedModel(Ranker(TRAIN.schema, 8), TRAIN.preparation)


@pytest.mark.parametrize(
    ("model", "figure", "column", "lower"),
    [
        (RETRIEVER, None, "valid_ndcg@10", False),
        (RETRIEVER, "hr@5", "valid_hr@5", False),
        (RETRIEVER, "mrr", "valid_mrr", False),
        (RANKER, None, "valid_auc", False),
        (RANKER, "loss", "valid_loss", True),
        (RANKER, "rmse", "valid_rmse", True),
    ],
)
def test_what_counts(model, figure, column, lower):
    monitor = ValidationMonitor(model, TRAIN, VALID, figure)
    assert monitor.column == column
    assert monitor.is_better({column: 0.5}, None)
    assert monitor.is_better({column: 0.5}, 0.6) is lower
    assert monitor.is_better({column: 0.7}, 0.6) is not lower
    assert not monitor.is_better({column: 0.6}, 0.6)


SHOWN = {
    "user": [*"aaabbbccc"],
    "item": [*"xyzxyzxyz"],
    "timestamp": [1_600_000_000 + number for number in range(9)],
    "list": [1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0],
    "rating": [0, 1, 0] * 3,
}


def test_a_ranker_that_learns_within_groups_is_compared_within_them():
    events = read_events(pd.DataFrame(SHOWN), columns={"list": {"kind": "number"}}, labels=["list"])
    train, valid, _ = by_time(events, valid_from=1_600_000_003, test_from=1_600_000_006)
    ranker = Ranker(train.schema, 8)
    trained = fit(ranker, train, valid, loss=GroupSoftmax("list"), positive=1, epochs=1, progress=False)
    assert 0 <= trained.history["valid_group_auc"][0] <= 1
    monitor = ValidationMonitor(trained, train, valid, group="list")
    assert monitor.column == "valid_group_auc" and not monitor.lower
    assert ValidationMonitor(trained, train, valid, "group_mrr", group="list").column == "valid_group_mrr"
    with pytest.raises(InputError, match="monitor should be one of .*, received 'group_mrr'"):
        ValidationMonitor(trained, train, valid, "group_mrr")


def test_without_a_group_of_both_classes_the_auc_decides():
    lists = {**SHOWN, "list": [1.0] * 3 + [2.0, 3.0, 4.0] + [5.0] * 3}
    events = read_events(pd.DataFrame(lists), columns={"list": {"kind": "number"}}, labels=["list"])
    train, valid, _ = by_time(events, valid_from=1_600_000_003, test_from=1_600_000_006)
    trained = TrainedModel(Ranker(train.schema, 8), train.preparation, settings={"positive": 1})
    with pytest.warns(UserWarning, match="no list of the valid part has both classes; the AUC is monitored"):
        assert ValidationMonitor(trained, train, valid, group="list").column == "valid_auc"


def test_a_catalogue_of_fewer_than_10_items_is_ranked_whole():
    train, valid, _ = leave_last_out(small_world(items=7))
    model = TrainedModel(TwoTower(train.schema, 8), train.preparation)
    assert ValidationMonitor(model, train, valid).column == "valid_ndcg@7"


def test_without_validation_the_newest_is_the_best():
    monitor = ValidationMonitor(RETRIEVER, TRAIN, None)
    assert monitor.validate() == {}
    assert monitor.is_better({}, 0.9)


@pytest.mark.parametrize(
    ("model", "monitor", "message"),
    [
        (
            RETRIEVER,
            "auc",
            "monitor should be one of mrr, hr@10, .*another number up to the 30 items.*received 'auc'",
        ),
        (RETRIEVER, "ndcg@31", "received 'ndcg@31'"),
        (RETRIEVER, "ndcg@0", "received 'ndcg@0'"),
        (RETRIEVER, "ndcg", "received 'ndcg'"),
        (RANKER, "ndcg@10", "monitor should be one of loss, auc, accuracy, rmse, received 'ndcg@10'"),
    ],
)
def test_a_figure_there_is_not(model, monitor, message):
    with pytest.raises(InputError, match=message):
        ValidationMonitor(model, TRAIN, VALID, monitor)


def test_parts_of_two_splits():
    with pytest.raises(InputError, match="train and valid come from two splits"):
        ValidationMonitor(RETRIEVER, TRAIN, leave_last_out(small_world())[1])
