"""video, from a table of watch times to the figures of both stages."""

import json

import numpy as np
import pandas as pd
import pytest

STAGES = ["Stage 1", "Stage 2", "Both stages"]
TOML = """
labels = ["watched", "like", "follow"]

[[events]]
file = "shown.csv"

[events.columns]
rating = "long"
like = { kind = "number" }
follow = { kind = "number" }
watched = { kind = "number" }

[[items]]
file = "videos.csv"

[features.item]
kind = {}

[features.context]
tab = {}
timestamp = { kind = "time", parts = ["hour"], age = true }
"""


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Videos of three kinds, one of which is watched for long, on tab b for six times as long as on tab a."""
    folder, rng = tmp_path_factory.mktemp("videos"), np.random.default_rng(0)
    shown = pd.DataFrame({"user": np.repeat(np.arange(120), 12), "item": rng.integers(0, 60, 1440)})
    shown = shown.assign(
        tab=rng.choice(["a", "b"], 1440), timestamp=1_700_000_000 + 600 * rng.permutation(1440)
    )
    seconds = np.array([30, 10, 3])[shown["item"] % 3] * np.where(shown["tab"] == "b", 3, 0.5)
    shown["watched"] = np.where(rng.random(1440) < 0.2, 0, seconds * rng.uniform(0.8, 1.2, 1440)).round(1)
    shown = shown.assign(long=(shown["watched"] > 12) * 1, follow=(rng.random(1440) < 0.2) * 1)
    shown["like"] = (rng.random(1440) < np.where(shown["tab"] == "b", 0.5, 0.05)) * 1
    shown.to_csv(folder / "shown.csv", index=False)
    pd.DataFrame({"item": range(60), "kind": ["x", "y", "z"] * 20}).to_csv(folder / "videos.csv", index=False)
    (folder / "videos.toml").write_text(TOML)
    return folder


def run(warm, folder, name, processes=1):
    words = (
        "--data",
        "videos.toml",
        "--valid-from",
        "2023-11-22",
        "--test-from",
        "2023-11-23",
        "--output",
        name,
    )
    small = ("--dim", "16", "--candidates", "20", "--epochs", "1", "--ranking-epochs", "6")
    ended = warm.launch("video", *words, *small, folder=folder, processes=processes)
    return ended, json.loads((folder / name / "metrics.json").read_text())


def test_both_stages_on_one_process(warm, videos):
    ended, figures = run(warm, videos, "one")
    first, second, both = (figures[stage] for stage in STAGES)
    assert {"popularity", "item-kNN", "watched", "... and example age"} < first.keys()
    assert "... and user" not in first  # the data has no features of users
    assert all(0 < found["recall@20"] <= 1 for found in first.values())
    exact, without = second["expected time"], second["expected time without context"]
    assert exact["MAE s"] < second["mean of the video"]["MAE s"] and exact["RMSE s"] < without["RMSE s"]
    assert exact["mean s"] * 2 < second["odds of the paper"]["mean s"]
    assert {"auc watched", "auc rating", "auc like", "auc follow"} < exact.keys()
    assert exact["auc like"] > 0.6 and len({found["recall"] for found in both.values()}) == 1
    assert "cold users" in ended.out[0] and "item-kNN" in ended.out[0]


@pytest.mark.slow
def test_two_processes_report_what_one_does(warm, videos):
    run(warm, videos, "alone")
    ended, figures = run(warm, videos, "pair", processes=2)
    alone = json.loads((videos / "alone" / "metrics.json").read_text())
    assert not ended.out[1]
    for stage in STAGES:
        for name, wanted in alone[stage].items():
            assert figures[stage][name] == pytest.approx(wanted, rel=0.05, abs=0.02), (stage, name)
