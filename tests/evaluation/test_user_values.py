"""What an evaluation keeps of each user: its means are the figures, and it says what was known."""

import numpy as np
import pytest
import torch

from tests.worlds import small_world
from torchrec_ext.data import by_time
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import UserValues, evaluate
from torchrec_ext.metrics import BinaryReport
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import Optimization, fit, write_evaluation

EVENTS = small_world()
DAY = 86_400
PARTS = by_time(EVENTS, valid_from=1_600_000_000 + 3 * DAY, test_from=1_600_000_000 + 4 * DAY)
QUICK = {"epochs": 1, "progress": False, "optimization": Optimization(global_batch_size=64)}


@pytest.fixture(scope="module")
def retrieved():
    train, valid, test = PARTS
    trained = fit(TwoTower(train.schema, 8, GRU(8), max_length=10), train, **QUICK)
    return evaluate(trained, train + valid, test, k=(3, 10), chunk=17, per_user=True)


def test_the_figures_are_the_means_of_the_users(retrieved):
    users = retrieved.per_user.users
    assert users.num_rows == retrieved["users"]
    for name in ("hr@3", "recall@10", "precision@10", "ndcg@10", "map@3", "mrr@3", "mrr"):
        assert np.mean(users[name]) == pytest.approx(retrieved[name], abs=1e-12)
    targets = sum(len(items) for items in users["targets"].to_pylist())
    assert targets == retrieved.counts["targets"]
    assert {*users["answered_by"].to_pylist()} == {"model", "popular"}


def test_lists_ranks_and_history_are_the_users_own(retrieved):
    known = np.isin(np.arange(len(EVENTS)), PARTS[2].events.source_rows, invert=True)
    frame = EVENTS.frame[known]
    frame = frame[frame["timestamp"] < 1_600_000_000 + 4 * DAY].sort_values("timestamp", kind="stable")
    for row in retrieved.per_user.users.to_pylist():
        own = frame.loc[frame["user"] == row["user"], "item"].tolist()
        assert row["known"] == len(own) and row["history"] == own[-20:]
        assert row["user_gender"] == ("f" if row["user"] % 2 else "m")
        for item, rank in zip(row["targets"], row["ranks"], strict=True):
            assert rank > len(row["list"]) or (row["list"][rank - 1] == item if rank else True)


def test_items_have_their_events_users_and_columns(retrieved):
    items = retrieved.per_user.items.to_pandas().set_index("item")
    log, _ = (PARTS[0] + PARTS[1]).known_before(PARTS[2])
    frame = EVENTS.frame.iloc[log.source_rows]
    assert len(items) == retrieved["items"]
    for item, own in frame[frame["item"].isin(items.index)].groupby("item"):
        assert (items.loc[item, "events"], items.loc[item, "users"]) == (len(own), own["user"].nunique())
    assert [*items.loc[101, "item_genres"]][0] == "odd" and "item_price" in items


def test_labels_and_scores_of_a_ranker(tmp_path):
    train, valid, test = PARTS
    ranker = fit(Ranker(train.schema, 8), train, positive=4.0, **QUICK)
    report = evaluate(ranker, train + valid, test, per_user=True)
    write_evaluation(tmp_path / "evaluation_valid.json", report)
    kept = UserValues.load(tmp_path, "_valid").users
    again = BinaryReport()
    again.update(*(torch.tensor(kept[n].combine_chunks().flatten().to_numpy()) for n in ("scores", "labels")))
    assert again.compute() == pytest.approx(dict(report))


def test_a_folder_without_values_says_what_to_do(tmp_path):
    with pytest.raises(InputError, match="has no per_user.parquet.*recipes/evaluate.py"):
        UserValues.load(tmp_path)


def test_values_are_not_kept_unless_asked_for():
    train, valid, test = PARTS
    trained = fit(TwoTower(train.schema, 8, None, ("user",)), train, **QUICK)
    assert evaluate(trained, train, valid, k=5).per_user is None
