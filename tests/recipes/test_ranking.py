"""train_ranking, evaluate and predict, from a CSV file to scores."""

import json

import pandas as pd
import pytest

from tests.recipes.launch import launch
from tests.recipes.tiny import EVENTS, SIDES, SMALL


@pytest.fixture(scope="module")
def run(warm, folder):
    """A run of two processes."""
    own = (
        "--interaction",
        "convolution",
        "--interaction.filters",
        "4",
        "--context",
        "weekday",
        "--split",
        "by_ratio",
    )
    events = pd.read_csv(folder / "events.csv")
    events.assign(weekday=["mon", "tue"] * (len(events) // 2)).to_csv(folder / "days.csv", index=False)
    data = (*EVENTS, "--data", "days.csv", *SIDES)
    words = (*data, *SMALL, *own, "--global-batch-size", "128", "--output", "runs/ranker")
    ended = warm.launch("train_ranking", *words, folder=folder, processes=2)
    assert "global batch of 128 over 2 rank(s): 64 per rank" in ended.out[0]
    assert ended.out[1] == ended.err[1] == ""
    return folder / "runs/ranker"


def test_what_it_writes(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert {
        "log_loss",
        "auc",
        "accuracy",
        "protocol",
        "world_size",
        "seconds",
        "examples_per_second",
    } <= metrics.keys()
    assert 0 < metrics["auc"] < 1 and metrics["world_size"] == 2 and "rating >= 4" in metrics["protocol"]
    history = pd.read_csv(run / "history.csv")
    assert {"train_loss", "train_auc", "train_accuracy", "valid_loss", "valid_auc", "valid_accuracy"} <= set(
        history
    )
    assert (run / "curves.png").stat().st_size > 0
    settings = json.loads((run / "settings.json").read_text())
    assert settings["recipe"] == "train_ranking" and settings["modules"]["interaction"]["filters"] == 4


def test_evaluation_repeats_the_figures_of_training(warm, folder, run):
    warm.launch("evaluate", "--checkpoint", run, folder=folder)
    evaluation, metrics = (
        json.loads((run / f"{name}.json").read_text()) for name in ("evaluation", "metrics")
    )
    for name in ("log_loss", "auc", "accuracy"):
        assert evaluation[name] == pytest.approx(metrics[name])


def test_scores_of_pairs(folder, run):
    pairs = pd.DataFrame(
        {"uid": ["u3", "u1", "nobody"], "sku": ["i1", "i9", "i1"], "weekday": ["mon", "tue", "mon"]}
    )
    pairs.to_csv(folder / "pairs.csv", index=False)
    words = ("--checkpoint", run, "--pairs", "pairs.csv", "--output", "scores.csv")
    ended = launch("predict", *words, folder=folder)
    assert "3 scores in scores.csv" in ended.out[0]
    scores = pd.read_csv(folder / "scores.csv")
    assert list(scores["user"]) == ["u3", "u1", "nobody"] and list(scores["item"]) == ["i1", "i9", "i1"]
    assert scores["score"].between(0, 1).all() and list(scores["known"]) == [True, True, False]


def test_scores_on_two_processes_are_the_same(warm, folder, run):
    words = ("--checkpoint", run, "--pairs", "pairs.csv", "--output", "again.csv")
    warm.launch("predict", *words, folder=folder, processes=2)
    pd.testing.assert_frame_equal(
        pd.read_csv(folder / "again.csv"), pd.read_csv(folder / "scores.csv"), atol=1e-5
    )


def test_scores_need_the_context_that_the_model_reads(warm, folder, run):
    pd.DataFrame({"user": ["u3"], "item": ["i1"]}).to_csv(folder / "short.csv", index=False)
    ended = warm.launch("predict", "--checkpoint", run, "--pairs", "short.csv", folder=folder, succeeds=False)
    assert ended.status == 2 and "short.csv has no column 'weekday'" in ended.error


def test_lists_of_a_ranker(warm, folder, run):
    words = (
        "--checkpoint",
        run,
        "--users",
        "u1",
        "u2",
        "--k",
        "3",
        "--candidates",
        "i1",
        "i2",
        "i3",
        "i4",
        "--repeats",
    )
    ended = warm.launch("recommend", *words, folder=folder)
    table = [line.split() for line in ended.out[0].splitlines()]
    assert table[0] == ["user", "item", "score", "rank", "source"] and len(table) == 1 + 2 * 3
    assert {row[1] for row in table[1:]} <= {"i1", "i2", "i3", "i4"}


def test_an_interaction_with_what_the_history_did(warm, folder):
    """Types of events as context, in the history too; rows set aside end up in the folder of the run."""
    events = pd.read_csv(folder / "events.csv").astype({"stars": "object"})
    events["type"] = ["view", "like"] * (len(events) // 2)
    events.loc[[3, 9], "stars"] = "many"
    events.to_csv(folder / "types.csv", index=False)
    words = ("--data", "types.csv", *EVENTS[2:], "--context", "type", "--target-attention", "din",
             "--history-fields", "context_type", "--weights", "like=3", "--prefetch", "0",
             "--split", "by_ratio", *SMALL, "--output", "runs/typed")  # fmt: skip
    ended = warm.launch("train_ranking", *words, folder=folder)
    assert "popularity alone: log_loss" in ended.out[0]
    run = folder / "runs/typed"
    aside = pd.read_parquet(run / "rejected.parquet")
    assert aside["line"].tolist() == [5, 11] and aside["value"].tolist() == ["many", "many"]
    assert not list((folder / "runs").glob(".typed*"))
    settings = json.loads((run / "settings.json").read_text())
    assert settings["history_fields"] == ["context_type"] and settings["source"]["weights"] == ["like=3"]
    assert settings["data"]["steps"][0]["step"] == "rows set aside"
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["popularity"].keys() >= {"auc", "log_loss"}
    more = ("--resume", *words, "--epochs", "3", "--max-bad-share", "0.5")
    warm.launch("train_ranking", *more, folder=folder)
    assert len(pd.read_csv(run / "history.csv")) == 3
    ended = warm.launch("recommend", "--checkpoint", run, "--users", "u3", "--k", "2", folder=folder)
    assert ended.out[0].count("model") == 2
    refused = ("--resume", *words, "--weights", "like=2")
    ended = warm.launch("train_ranking", *refused, folder=folder, succeeds=False)
    assert ended.status == 2 and "--weights is ['like=2'], but the run" in ended.error
    assert (run / "rejected.parquet").is_file() and not list((folder / "runs").glob(".typed*"))
