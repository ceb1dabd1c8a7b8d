"""Item-kNN under the protocol of evaluate, by hand; and on two processes."""

import pandas as pd
import pytest

from tests import processes
from torchrec_ext.data import as_marked, read_events
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.evaluation.baselines import item_knn, popularity
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.training import fit

# c goes with a, and d with b; e is popular, and goes with nothing.
LIKES = {
    "u": "ac",
    "v": "ac",
    "w": "bd",
    "x": "bd",
    "p": "e",
    "q": "e",
    "r": "e",
    "new_1": "a",
    "new_2": "be",
}
TARGETS = {"new_1": "c", "new_2": "d", "q": "b"}


def retriever():
    rows = [(user, item, "train") for user, items in LIKES.items() for item in items]
    rows += [("p", "e", "valid"), *((user, item, "test") for user, item in TARGETS.items())]
    frame = pd.DataFrame(rows, columns=["user", "item", "split"])
    train, _, test = as_marked(read_events(frame, columns={"split": "split"}))
    model = TwoTower(train.schema, 4, "mean_pool")
    return fit(model, train, epochs=1, progress=False), train, test


def of_lists() -> list[dict]:
    trained, train, test = retriever()
    found = []
    for settings in ({}, {"neighbours": 1}, {"exclude_seen": False}):
        report = item_knn(trained, train, test, k=(1, 2), shrink=0, **settings)
        found.append({**report, **report.counts, "protocol": report.protocol})
    return found


def test_lists_by_hand():
    """c is first of new_1, and d of new_2; q knows e alone, whose neighbour is b, for the sake of new_2."""
    first, one, again = of_lists()
    assert [first[name] for name in ("hr@1", "hr@2", "users", "tied")] == [1, 1, 3, 0]
    assert first["protocol"].endswith("item-kNN of 100 neighbours, shrink 0")
    # the nearest of b is d, by 2 / sqrt(3 * 2) against 1 / sqrt(3 * 4) of e; the nearest of e is b
    assert one["hr@1"] == 1
    # an item is its own nearest neighbour, where it may come back
    # of new_2, b and e have 1 + 1 / sqrt(3 * 4), more than d
    assert again["hr@1"] == 0 and again["hr@2"] == pytest.approx(2 / 3)


def test_candidates_alone_are_ranked():
    """c stands below no item but a and b; d, a target of new_2, is not among them."""
    trained, train, test = retriever()
    for found in (
        item_knn(trained, train, test, k=1, candidates=["a", "b", "c"]),
        popularity(trained, train, test, k=1, candidates=["a", "b", "c"]),
        evaluate(trained, train, test, k=1, candidates=["a", "b", "c"], per_user=True),
    ):
        assert found["items"] == 3 and found.counts["outside"] == 1
        assert "full ranking over 3 items" in found.protocol
    assert found.per_user.items["item"].to_pylist() == ["a", "c", "b"]
    assert {item for items in found.per_user.users["list"].to_pylist() for item in items} <= {"a", "b", "c"}
    with pytest.raises(InputError, match="none of the item ids in candidates is known"):
        evaluate(trained, train, test, k=1, candidates=["z"])


def test_users_without_a_neighbour_get_the_popular_items():
    rows = [(f"u{i}", item, "train") for i, item in enumerate("aaabcc")] + [("u7", "d", "train")] * 2
    rows += [("u0", "a", "valid"), ("u3", "a", "test")]  # who knows b, which nobody else does
    frame = pd.DataFrame(rows, columns=["user", "item", "split"])
    train, _, test = as_marked(read_events(frame, columns={"split": "split"}))
    trained = fit(TwoTower(train.schema, 4, "mean_pool"), train, epochs=1, progress=False)
    report = item_knn(trained, train, test, k=1)
    assert report["hr@1"] == 1
    assert "1 users of whose items none has a neighbour get the popular items" in report.protocol


def test_pairs_by_hand():
    """Of a ranker; known events with a negative label do not count."""
    rows = [(user, item, 5, "train", 1) for user, items in LIKES.items() for item in items]
    rows += [("new_1", "b", 1, "train", 1)]  # whose neighbours are d and e
    rows += [("p", "e", 5, "valid", 1)]
    rows += [("new_1", item, 5 * (item == "c"), "test", 2) for item in "cde"]
    rows += [("new_2", item, 5 * (item == "d"), "test", 3) for item in "cd"]
    frame = pd.DataFrame(rows, columns=["user", "item", "rating", "split", "list"])
    columns = {"split": "split", "list": {"kind": "number"}}
    train, _, test = as_marked(read_events(frame, columns=columns, labels=["list"]))
    trained = fit(Ranker(train.schema, 4), train, epochs=1, positive=4, progress=False)
    report = item_knn(trained, train, test, group="list")
    assert list(report)[:3] == ["auc", "groups", "group_auc"]
    assert [report[name] for name in ("auc", "groups", "group_auc", "group_ndcg@5")] == [1, 2, 1, 1]
    # c and d tie, and e, which has more of the same labels, is above them: a half of two wins, and of one
    popular = popularity(trained, train, test, group="list")
    assert popular["group_auc"] == pytest.approx((0.25 + 0.5) / 2) and popular["log_loss"] > 0
    assert popular.protocol.endswith("each item's mean label; ranked within each list")


@pytest.mark.slow
def test_two_processes_report_what_one_does():
    first, second = processes.run(of_lists)
    assert first == second == of_lists()
