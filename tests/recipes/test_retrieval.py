"""train_retrieval, evaluate and recommend, from a CSV file to lists."""

import hashlib
import json
import shutil
from functools import partial

import pandas as pd
import pytest

from tests.recipes.launch import files, launch
from tests.recipes.tiny import EVENTS, ITEMS, SIDES, SMALL, USERS

FIELDS = ("--query-fields", "user_group", "user_age", "--item-fields", "item_kind")
OWN = """
from torchrec_ext.encoders import GRU


class Narrow(GRU):
    def __init__(self, dim: int, hidden: int = 4) -> None:
        super().__init__(dim, hidden)
"""


@pytest.fixture(scope="module")
def alone(folder):
    """A run of one process."""
    own = ("--encoder", "gru", "--encoder.hidden", "8", "--k", "5", "10")
    launch("train_retrieval", *EVENTS, *SIDES, *SMALL, *FIELDS, *own, "--output", "runs/alone", folder=folder)
    return folder / "runs/alone"


@pytest.fixture(scope="module")
def paired(folder):
    """A run of two processes with an encoder of the user's own, and what they printed."""
    (folder / "own_encoders.py").write_text(OWN)
    own = ("--encoder", "own_encoders:Narrow", "--encoder.hidden=6", "--k", "10", "--global-batch-size", "32")
    words = (*EVENTS, *SMALL, *own, "--sharding", "item=row_wise", "--output", "runs/paired")
    return folder / "runs/paired", launch("train_retrieval", *words, folder=folder, processes=2)


def test_a_run_of_one_process(folder, alone, events):
    metrics = json.loads((alone / "metrics.json").read_text())
    expected = {"hr@10", "ndcg@10", "mrr", "coverage@10", "hr@5", "users", "items", "protocol"}
    expected |= {"world_size", "seconds", "examples_per_second"}
    assert expected <= metrics.keys()
    assert (metrics["users"], metrics["items"], metrics["world_size"]) == (USERS, ITEMS, 1)
    assert 0 < metrics["ndcg@10"] <= metrics["hr@10"] <= 1 and metrics["examples_per_second"] > 0
    assert "leave-last-out" in metrics["protocol"] and "full ranking over 40 items" in metrics["protocol"]

    settings = json.loads((alone / "settings.json").read_text())
    checksum = hashlib.sha256((folder / "events.csv").read_bytes()).hexdigest()
    assert settings["data"]["sha256"] == checksum
    ties = int(events.duplicated(["uid", "t"], keep=False).sum())
    assert settings["data"]["ties"] == ties
    assert f"{ties} share user and timestamp" in settings["data"]["ordering"]
    assert settings["modules"]["encoder"] == {"hidden": 8, "layers": 1, "dropout": 0.2}

    history = pd.read_csv(alone / "history.csv")
    assert list(history["epoch"]) == [1, 2] and {"train_loss", "valid_ndcg@10"} <= set(history)
    assert (alone / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert list((alone / "tensorboard").glob("events.out.tfevents.*"))
    assert (alone / "checkpoints" / "latest").read_text().split()[0] in files(alone / "checkpoints")


def test_a_run_of_two_processes(paired):
    run, ended = paired
    assert json.loads((run / "metrics.json").read_text())["world_size"] == 2
    assert "global batch of 32 over 2 rank(s): 16 per rank" in ended.out[0]
    assert "row_wise  asked for" in ended.out[0] and "ndcg@10" in ended.out[0]
    assert ended.out[1] == ended.err[1] == ""


@pytest.mark.parametrize("processes", [1, 2])
def test_evaluation_repeats_the_figures_of_training(warm, folder, alone, paired, processes):
    # each in the other number of processes; the run of two needs the module in this folder, named again
    run, own = (alone, ()) if processes == 2 else (paired[0], ("--imports", "own_encoders"))
    warm.launch("evaluate", "--checkpoint", run, "--k", "10", *own, folder=folder, processes=processes)
    evaluation, metrics = (
        json.loads((run / f"{name}.json").read_text()) for name in ("evaluation", "metrics")
    )
    figures = [name for name, value in evaluation.items() if name in metrics and isinstance(value, float)]
    assert {"hr@10", "ndcg@10", "mrr", "coverage@10"} <= set(figures)
    assert {name: evaluation[name] for name in figures} == pytest.approx(
        {name: metrics[name] for name in figures}
    )
    assert evaluation["protocol"] == metrics["protocol"] and evaluation["world_size"] == processes


def test_lists_of_some_users(folder, alone, events):
    words = (
        "--checkpoint",
        alone,
        "--users",
        "u1",
        "u2",
        "nobody",
        "--k",
        "10",
        "--output",
        alone / "top.csv",
    )
    launch("recommend", *words, folder=folder)
    lists = pd.read_csv(alone / "top.csv")
    assert list(lists) == ["user", "item", "score", "rank", "source"]
    assert list(lists["user"].drop_duplicates()) == ["u1", "u2", "nobody"]
    for user, own in lists.groupby("user"):
        assert list(own["rank"]) == list(range(1, 11)) and own["item"].is_unique
        assert own["score"].is_monotonic_decreasing
        assert not set(own["item"]) & set(events.loc[events["uid"] == user, "sku"])
        assert set(own["source"]) == {"popular" if user == "nobody" else "model"}
    popular = events["sku"].value_counts()
    assert list(lists.loc[lists["user"] == "nobody", "score"]) == list(popular.iloc[:10])


def test_lists_of_all_users_are_complete_and_the_same_on_two_processes(warm, folder, alone, events):
    frames = []
    for processes, start in ((1, warm.launch), (2, partial(launch, processes=2))):
        output = folder / f"all{processes}"
        words = ("--checkpoint", alone, "--users", "all", "--k", "30", "--output", output)
        ended = start("recommend", *words, folder=folder)
        assert f"{USERS} lists in {output}" in ended.out[0]
        parts = sorted(output.iterdir())
        assert [part.name for part in parts] == [f"part-{rank:05d}.parquet" for rank in range(processes)]
        lists = [pd.read_parquet(part) for part in parts]
        assert all(part["user"].nunique() == USERS // processes for part in lists)
        frames.append(pd.concat(lists).sort_values(["user", "rank"]).reset_index(drop=True))
    left = ITEMS - events.groupby("uid")["sku"].nunique()
    assert left.min() < 30 < left.max()  # some lists must end early
    assert frames[0].groupby("user").size().to_dict() == left.clip(upper=30).to_dict()
    pd.testing.assert_frame_equal(frames[0], frames[1], atol=1e-5)
    assert not [name for name in files(folder) if "partial" in name]


def test_resuming_goes_on_and_overwriting_begins_anew(warm, folder, alone):
    words = ("--encoder.hidden", "8", "--k", "5", "10", "--output", "runs/more")
    shutil.copytree(alone, folder / "runs/more")
    first = pd.read_csv(folder / "runs/more/history.csv")
    everything = (*EVENTS, *SIDES, *SMALL, *FIELDS, *words)
    warm.launch("train_retrieval", *everything, "--epochs", "3", "--resume", folder=folder)
    second = pd.read_csv(folder / "runs/more/history.csv")
    assert list(second["epoch"]) == [1, 2, 3]
    pd.testing.assert_frame_equal(second[:2], first)
    assert json.loads((folder / "runs/more/settings.json").read_text())["epochs"] == 3

    anew = (*EVENTS, *SMALL, *words, "--epochs", "1", "--overwrite")
    warm.launch("train_retrieval", *anew, folder=folder)
    assert list(pd.read_csv(folder / "runs/more/history.csv")["epoch"]) == [1]
    assert len(list((folder / "runs/more/checkpoints").glob("step-*"))) == 1
    assert not [path for path in (folder / "runs").iterdir() if path.name.startswith(".")]
