import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
SMALL = ("--users", "60", "--movies", "80", "--epochs", "2", "--user", "7")


def demo(output: Path, *settings: str, expected: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "recipes/demo.py", "--output", str(output), *settings],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == expected, done.stderr
    return done.stdout + done.stderr


def test_the_demo_goes_the_whole_way(tmp_path):
    said = demo(tmp_path / "run", *SMALL)
    figures = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(figures) == ["popularity", "dot", "convolution", "oracle"]
    for of_model in figures.values():
        assert of_model.keys() == {"log_loss", "auc", "accuracy", "rmse"}
    assert figures["oracle"]["auc"] == max(f["auc"] for f in figures.values())
    assert figures["oracle"]["log_loss"] == min(f["log_loss"] for f in figures.values())

    settings = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert settings["users"] == 60 and settings["data"]["rows"] == 4800
    history = pd.read_csv(tmp_path / "run" / "history.csv")
    assert history[["model", "epoch"]].value_counts().to_dict() == {
        ("dot", 1): 1, ("dot", 2): 1, ("convolution", 1): 1, ("convolution", 2): 1,
    }  # fmt: skip
    for metric in ("loss", "accuracy", "auc"):
        assert history[[f"train_{metric}", f"valid_{metric}"]].notna().all(axis=None)
    assert (tmp_path / "run" / "curves.png").read_bytes().startswith(b"\x89PNG")
    for model in ("dot", "convolution"):
        assert (tmp_path / "run" / model / "checkpoints" / "best").is_file()

    top = pd.read_csv(tmp_path / "run" / "recommendations.csv")
    assert set(top["user"]) <= set(range(1, 61)) and not top.duplicated(["user", "item"]).any()
    assert top.groupby("user")["score"].apply(lambda s: s.is_monotonic_decreasing).all()
    mine = top[top["user"] == 7]
    assert len(mine) and all(title in said for title in mine["title"])


@pytest.mark.slow
def test_a_second_run_is_refused_where_it_is_asked_to(tmp_path):
    (tmp_path / "settings.json").write_text("{}")
    said = demo(tmp_path, *SMALL, "--no-overwrite", expected=2)
    assert "exists" in said and "Traceback" not in said
    assert [file.name for file in tmp_path.iterdir()] == ["settings.json"]


@pytest.mark.slow
def test_both_models_come_within_three_percent_of_the_best_possible_auc(tmp_path):
    demo(tmp_path / "run")
    auc = {name: f["auc"] for name, f in json.loads((tmp_path / "run" / "metrics.json").read_text()).items()}
    assert auc["oracle"] == pytest.approx(0.898, abs=0.005)
    for model in ("dot", "convolution"):
        assert auc[model] > 0.97 * auc["oracle"]
        assert auc[model] > auc["popularity"] + 0.1
