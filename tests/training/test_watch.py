import pytest

from tests.worlds import small_world
from torchrec_ext.data import leave_last_out
from torchrec_ext.errors import InputError
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training.watch import Watch

TRAIN, VALID, _ = leave_last_out(small_world())
RETRIEVER, RANKER = TwoTower(TRAIN.schema, 8), Ranker(TRAIN.schema, 8)


@pytest.mark.parametrize(
    ("model", "monitor", "column", "lower"),
    [
        (RETRIEVER, None, "valid_ndcg@10", False),
        (RETRIEVER, "hr@5", "valid_hr@5", False),
        (RETRIEVER, "mrr", "valid_mrr", False),
        (RANKER, None, "valid_auc", False),
        (RANKER, "loss", "valid_loss", True),
        (RANKER, "rmse", "valid_rmse", True),
    ],
)
def test_what_counts(model, monitor, column, lower):
    watch = Watch(model, TRAIN, VALID, monitor, 4.0)
    assert watch.column == column
    assert watch.better({column: 0.5}, None)
    assert watch.better({column: 0.5}, 0.6) is lower
    assert watch.better({column: 0.7}, 0.6) is not lower
    assert not watch.better({column: 0.6}, 0.6)


def test_a_catalogue_of_fewer_than_10_items_is_ranked_whole():
    train, valid, _ = leave_last_out(small_world(items=7))
    assert Watch(TwoTower(train.schema, 8), train, valid, None, 4.0).column == "valid_ndcg@7"


def test_without_validation_the_newest_is_the_best():
    watch = Watch(RETRIEVER, TRAIN, None, None, 4.0)
    assert watch.validate() == {}
    assert watch.better({}, 0.9)


@pytest.mark.parametrize(
    ("model", "monitor", "message"),
    [
        (RETRIEVER, "auc", "monitor names 'auc'; there are mrr, hr@10, .*another number up to the 30 items"),
        (RETRIEVER, "ndcg@31", "monitor names 'ndcg@31'"),
        (RETRIEVER, "ndcg@0", "monitor names 'ndcg@0'"),
        (RETRIEVER, "ndcg", "monitor names 'ndcg'"),
        (RANKER, "ndcg@10", "monitor names 'ndcg@10'; there are loss, auc, accuracy, rmse"),
    ],
)
def test_a_figure_there_is_not(model, monitor, message):
    with pytest.raises(InputError, match=message):
        Watch(model, TRAIN, VALID, monitor, 4.0)


def test_parts_of_two_splits():
    with pytest.raises(InputError, match="train and valid come from two splits"):
        Watch(RETRIEVER, TRAIN, leave_last_out(small_world())[1], None, 4.0)
