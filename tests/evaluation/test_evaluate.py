import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from tests import processes
from tests.worlds import small_world
from torchrec_ext.data import (
    Dataset,
    Events,
    as_marked,
    by_ratio,
    by_time,
    by_user,
    leave_last_out,
    read_events,
)
from torchrec_ext.data.batching.labelled_events import LabelledEvents
from torchrec_ext.encoders import GRU
from torchrec_ext.errors import InputError
from torchrec_ext.evaluation import evaluate
from torchrec_ext.losses import SoftmaxCrossEntropy
from torchrec_ext.models import Ranker, TwoTower
from torchrec_ext.retrieval import TrainedModel, predict, recommend
from torchrec_ext.training import Optimization, fit

EVENTS = small_world()
DAY = 86_400
SPLITS = {
    "leave_last_out": lambda events: leave_last_out(events),
    # by then a few users have no event, and the others several to come
    "by_time": lambda events: by_time(
        events, valid_from=1_600_000_000 + 3 * DAY, test_from=1_600_000_000 + 4 * DAY
    ),
    "by_ratio": lambda events: by_ratio(events, valid=0.2, test=0.3, seed=1),
    "by_user": lambda events: by_user(events, valid=0.2, test=0.3, seed=1),
}
Parts = tuple[Dataset, Dataset, Dataset]


def known_events(parts: Parts, known: Dataset, targets: Dataset) -> Events:
    """What is known when ``targets`` are predicted, as a user would hand it to recommend()."""
    log, _ = known.known_before(targets)
    mask = np.zeros(len(EVENTS), bool)
    mask[log.source_rows] = True
    return EVENTS.take(mask)


def figures_of(
    lists: pd.DataFrame, targets: pd.DataFrame, ks: tuple[int, ...], catalogue: int
) -> dict[str, float]:
    """The figures by their definitions, a user at a time."""
    wanted = {user: set(own["item"]) for user, own in targets.groupby("user")}
    found = {user: own["item"].tolist() for user, own in lists.groupby("user")}
    rows = []
    for user, items in wanted.items():
        hits = [item in items for item in found.get(user, [])]
        first = hits.index(True) + 1 if any(hits) else None
        row = {"mrr": 1 / first if first else 0.0}
        for k in ks:
            top = hits[:k]
            best = min(len(items), k)
            row[f"hr@{k}"] = float(any(top))
            row[f"recall@{k}"] = sum(top) / len(items)
            row[f"precision@{k}"] = sum(top) / k
            ideal = sum(1 / np.log2(place + 2) for place in range(best))
            row[f"ndcg@{k}"] = sum(hit / np.log2(place + 2) for place, hit in enumerate(top)) / ideal
            precisions = [sum(top[: place + 1]) / (place + 1) for place, hit in enumerate(top) if hit]
            row[f"map@{k}"] = sum(precisions) / best
            row[f"mrr@{k}"] = 1 / first if first and first <= k else 0.0
        rows.append(row)
    figures = pd.DataFrame(rows).mean().to_dict()
    for k in ks:
        figures[f"coverage@{k}"] = lists.loc[lists["rank"] <= k, "item"].nunique() / catalogue
    return {**figures, "users": len(rows), "items": catalogue}


@pytest.mark.parametrize("seen", [False, True], ids=["seen left out", "seen kept"])
@pytest.mark.parametrize("model", ["history", "user", "both"])
@pytest.mark.parametrize("split", SPLITS)
def test_the_figures_are_those_of_recommends_lists(split, model, seen):
    parts = SPLITS[split](EVENTS)
    train, valid, test = parts
    made = {
        "history": lambda: TwoTower(train.schema, 8, GRU(8), max_length=10),
        "user": lambda: TwoTower(train.schema, 8, None, ("user", "user_age")),
        "both": lambda: TwoTower(train.schema, 8, GRU(8), ("user_gender",), ("item_genres",)),
    }[model]()
    trained = fit(made, train, epochs=1, progress=False, optimization=Optimization(global_batch_size=64))
    known = train + valid
    report = evaluate(trained, known, test, k=(3, 10), exclude_seen=not seen, chunk=17)
    known_now = known_events(parts, known, test)
    targets = EVENTS.frame.iloc[test.events.source_rows]
    catalogue = EVENTS.frame["item"].iloc[train.events.source_rows].nunique()
    lists = recommend(trained, known_now, targets["user"], k=catalogue, exclude_seen=not seen)
    wanted = figures_of(lists, targets, (3, 10), catalogue)
    assert dict(report) == pytest.approx(wanted, abs=1e-9)
    assert report["hr@10"] > 0
    if split in ("by_time", "by_ratio"):
        assert targets.groupby("user")["item"].nunique().max() > 2
    if split == "by_time" and model == "history":
        assert set(lists["source"]) == {"model", "popular"}
        assert "users of whom the model knows nothing get the popular items" in report.protocol


def test_the_report_says_what_was_measured():
    train, valid, test = leave_last_out(EVENTS)
    model = fit(
        TwoTower(train.schema, 8, GRU(8)),
        train,
        epochs=1,
        progress=False,
        optimization=Optimization(global_batch_size=64),
    )
    report = evaluate(model, train, valid, k=(5,))
    assert report.part == "valid"
    known = f"{train.protocol}; known: train; full ranking over 30 items"
    hidden = "of 60 targets 1 (1.7%) known to the user and left out"
    assert report.protocol == f"{known}, the user's known items left out; {hidden}"
    assert {"targets": 60, "seen": 1, "outside": 0}.items() <= report.counts.items()
    repeats = evaluate(model, train, valid, k=(5,), exclude_seen=False)
    assert repeats.protocol == known
    assert "users" in report and report["users"] == 60


def test_a_target_that_was_seen_or_is_no_item_counts_as_not_found():
    """Both still count among the user's targets."""
    events = small_world()
    rare = events.frame["item"].value_counts()
    train, valid, test = by_ratio(events, valid=0.1, test=0.3, min_count=int(rare.quantile(0.3)))
    assert (test.events.items == 0).any()
    model = fit(
        TwoTower(train.schema, 8),
        train,
        epochs=1,
        progress=False,
        optimization=Optimization(global_batch_size=64),
    )
    report = evaluate(model, train, test, k=(1,))
    users = [set(own) for own in np.split(test.events.items, test.events.offsets[1:-1]) if len(own)]
    log = train.events
    seen = [set(own) for own, there in zip(
        np.split(log.items, log.offsets[1:-1]), np.diff(test.events.offsets), strict=True
    ) if there]  # fmt: skip
    assert any(0 in items for items in users) and any(i & s - {0} for i, s in zip(users, seen, strict=True))
    everything = len(train.preparation.vocabularies["item"]) - 1
    best = np.mean([len(i - s - {0}) / len(i) for i, s in zip(users, seen, strict=True)])
    assert evaluate(model, train, test, k=(everything,))[f"recall@{everything}"] == pytest.approx(best)
    assert report["items"] == everything < 30


def test_a_rankers_figures_are_those_of_predicts_scores():
    train, valid, test = by_ratio(EVENTS, valid=0.1, test=0.2)
    model = Ranker(train.schema, 8, ("user", "item", "user_gender", "item_genres", "context_hour"))
    trained = fit(model, train, epochs=2, progress=False, optimization=Optimization(global_batch_size=64))
    report = evaluate(trained, train + valid, test, positive=3.0)
    pairs = EVENTS.frame.iloc[test.events.source_rows]
    scores = predict(trained, EVENTS, pairs)["score"].to_numpy()
    labels = (pairs["rating"] >= 3).to_numpy()
    wanted = {
        "log_loss": -np.log(np.where(labels, scores, 1 - scores)).mean(),
        "auc": (scores[labels][:, None] > scores[~labels]).mean(),
        "accuracy": ((scores > 0.5) == labels).mean(),
        "rmse": np.sqrt(((scores - labels) ** 2).mean()),
    }
    assert dict(report) == pytest.approx(wanted, abs=1e-5)
    assert report.protocol.endswith("labels: rating >= 3")


def test_each_further_task_has_an_auc():
    frame = EVENTS.frame.assign(like=lambda rows: (rows["rating"] == 5).astype(float))
    frame.loc[::7, "like"] = np.nan
    events = read_events(frame, columns={"like": {"kind": "number"}}, labels=["like"])
    train, valid, test = by_ratio(events, valid=0.1, test=0.4)
    positive = {"rating": 4, "like": 1}
    model = Ranker(train.schema, 8, tasks=2)
    trained = fit(model, train, epochs=1, progress=False, positive=positive)
    report = evaluate(trained, train + valid, test)
    examples = LabelledEvents(test, train, model.inputs, positive)
    logits = trained.module(examples.batch(np.arange(len(examples.events)), 1.0)).detach().numpy()[:, 1]
    liked = examples.labels[:, 1] > 0
    assert 0 < examples.unrated < len(test) and set(report) > {"auc", "like_auc"}
    assert report["like_auc"] == pytest.approx((logits[liked][:, None] > logits[~liked]).mean(), abs=1e-6)
    twice = evaluate(trained, train + valid, test, positive=(4, 5))
    assert twice["auc"] == report["auc"] and "rating>=5_auc" in twice


def test_what_cannot_be_evaluated_is_explained():
    train, valid, test = leave_last_out(EVENTS)
    model = fit(
        TwoTower(train.schema, 8),
        train,
        epochs=1,
        progress=False,
        optimization=Optimization(global_batch_size=64),
    )
    with pytest.raises(InputError, match="60 events of valid are in train \\+ valid too, so they are known"):
        evaluate(model, train + valid, valid)
    with pytest.raises(InputError, match="k is 31, but the catalogue has 30 items"):
        evaluate(model, train, test, k=(10, 31))
    with pytest.raises(InputError, match="ks is empty"):
        evaluate(model, train, test, k=())
    with pytest.raises(InputError, match="train and test come from two splits"):
        evaluate(model, train, leave_last_out(small_world())[2])
    other = leave_last_out(small_world(seed=1))
    with pytest.raises(InputError, match="the split of test gives the ids of table 'item' other rows than"):
        evaluate(model, other[0], other[2])
    with pytest.raises(
        InputError, match="model should be a TrainedModel, received a Linear; .* wrap a model"
    ):
        evaluate(nn.Linear(1, 1), train, test)
    with pytest.raises(InputError, match="tables of the TwoTower have no weights yet"):
        evaluate(TrainedModel(TwoTower(train.schema, 8), train.preparation), train, test)
    for part, name in ((EVENTS, "Events"), (model, "TrainedModel")):
        with pytest.raises(InputError, match=f"targets should be a part of a split .* received {name}"):
            evaluate(model, train, part)


def figures_by_split() -> list[dict[str, float]]:
    found = []
    for split in ("by_time", "by_ratio"):
        train, valid, test = SPLITS[split](EVENTS)
        torch.manual_seed(0)
        models = [TwoTower(train.schema, 8, GRU(8, dropout=0.0)), Ranker(train.schema, 8)]
        for model in models:
            trained = fit(
                model,
                train,
                epochs=1,
                progress=False,
                sharding={"item": "row_wise"},
                optimization=Optimization(global_batch_size=700),
                loss=SoftmaxCrossEntropy("catalogue") if isinstance(model, TwoTower) else None,
            )
            found.append(dict(evaluate(trained, train + valid, test, k=(3, 10), chunk=7)))
    return found


def test_two_processes_find_what_one_does():
    first, second = processes.run(figures_by_split)
    assert first == second
    for found, alone in zip(first, figures_by_split(), strict=True):
        assert found == pytest.approx(alone, abs=1e-3)


def test_targets_that_were_seen_are_counted_and_warned_of():
    """Of ten users nine take their first item again."""
    rows = [(user, item, "train") for user in range(10) for item in (user, user + 1, user + 2)]
    rows += [(user, user + 3, "valid") for user in range(10)]
    rows += [(user, user if user else 9, "test") for user in range(10)]
    frame = pd.DataFrame(rows, columns=["user", "item", "split"])
    train, valid, test = as_marked(read_events(frame, columns={"split": "split"}))
    assert train.report.parts[2].seen == 9
    model = fit(TwoTower(train.schema, 4, "mean_pool"), train, epochs=1, progress=False)
    with pytest.warns(UserWarning, match=r"90.0% of the targets .* evaluate with exclude_seen=False \(--rep"):
        report = evaluate(model, train + valid, test, k=(10,))
    assert {"targets": 10, "seen": 9, "outside": 0}.items() <= report.counts.items() and report[
        "hr@10"
    ] <= 0.1
    assert "of 10 targets 9 (90.0%) known to the user and left out" in report.protocol
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        repeats = evaluate(model, train + valid, test, k=(10,), exclude_seen=False)
    assert repeats.counts["seen"] == 0 and repeats["hr@10"] >= 0.9
