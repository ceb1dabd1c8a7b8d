import pytest

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel
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
